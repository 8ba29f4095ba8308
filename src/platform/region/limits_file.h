// limits.ro: the page of limits that a container reads and cannot write (abi/limits_page.h).
//
// Made before the container starts; changed in place afterwards, because a file bind mount does not
// follow a rename. Writers exclude each other by a lock on the file. Stateless; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace hami::region {

enum class CorePolicy : uint8_t { kDefault, kForce, kDisable };

struct PageCard {
  std::string uuid;
  Bytes memory, initial_memory;  // 0 = no limit; initial: when the container started
  Percent cores, initial_cores;  // 0 or 100 = no limit
  Bytes physical_share;          // 0 = all of it is real
};

struct LimitsPage {
  uint64_t generation = 0;  // odd: a writer is in it, or died in it
  int priority = 1;
  CorePolicy policy = CorePolicy::kDefault;
  bool allow_disable_control = false;
  bool oversubscribe = false;
  std::string region_path;  // in the container; "" = the environment says it
  std::vector<PageCard> cards;
};

// What a resize changes; absent stays.
struct LimitChange {
  std::optional<Bytes> memory;
  std::optional<Percent> cores;
  std::optional<Bytes> physical_share;
};

// kInvalidArgument: too many cards, or a text that does not fit.
Result<std::string> EncodeLimits(const LimitsPage& page);
// kDataLoss: not a page of version 1.
Result<LimitsPage> DecodeLimits(std::string_view bytes);

// A new file, mode 0644.
Result<void> CreateLimits(const std::string& path, const LimitsPage& page);
Result<LimitsPage> ReadLimits(const std::string& path);
// By its first word; a region says no.
Result<bool> IsLimitsPage(const std::string& path);
// In place, under the page's generation. kNotFound: no such card on the page.
Result<void> ChangeLimits(const std::string& path, std::string_view uuid,
                          const LimitChange& change);

}  // namespace hami::region
