// MIG reservation: which instance of which card stands behind a Pod's share (spec/protocol.md 4.4).
//
// JSON array in hami.io/vgpu-mig-allocations; the scheduler reserves, the plugin adds the identity
// at run time. Pure, any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/device.h"

namespace hami::protocol {

struct MigRuntime {
  std::string mig_uuid;
  int64_t gpu_instance = 0;
  int64_t compute_instance = 0;
  bool operator==(const MigRuntime&) const = default;
};

struct MigAllocation {
  int container = 0;  // init containers first
  int device = 0;     // position inside the container's list
  std::string gpu_uuid;
  std::string profile;  // "1g.10gb"
  MigPlacement placement;
  std::optional<MigRuntime> runtime;
  bool operator==(const MigAllocation&) const = default;
};

// Errors: kInvalidArgument with the reference's texts ("MIG allocation 0 is incomplete", ...).
Result<std::vector<MigAllocation>> DecodeMigAllocations(std::string_view text);
Result<void> ValidateMigAllocations(std::span<const MigAllocation> allocations);
// Byte-exact, Go's escaping.
std::string EncodeMigAllocations(std::span<const MigAllocation> allocations);

}  // namespace hami::protocol
