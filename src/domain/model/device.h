// Cards: what a node registers, what is promised of them, and what a Pod got.
//
// Plain values; no threads. All memory is MiB, all cores percent of one card (or the vendor's
// unit).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/units.h"

namespace hami {

struct MigPlacement {
  int start = 0;
  int size = 0;
  bool operator==(const MigPlacement&) const = default;
};

struct MigProfile {
  std::string name;
  MiB memory;
  Percent core;
  int slices = 0;
  std::vector<MigPlacement> placements;
  bool operator==(const MigProfile&) const = default;
};

// One card as its node's plugin registered it (spec/protocol.md 2.1).
struct Device {
  std::string id;      // UUID
  uint32_t index = 0;  // management library's index on the node
  int32_t count = 0;   // share slots
  MiB memory;
  Percent cores;
  std::string type;  // model, e.g. "NVIDIA A100-SXM4-80GB"
  int numa = 0;
  std::string mode;  // hami-core | mig | mps | ""
  std::vector<MigProfile> mig_profiles;
  bool healthy = false;
  std::string vendor;  // devicevendor field as written, "" when absent
  Json custom_info;    // null when absent
  bool operator==(const Device&) const = default;
};

// What is promised of one card, or what one Pod is charged for it.
struct DeviceUsage {
  int32_t slots = 0;
  MiB memory;
  Percent cores;
  int32_t exclusive =
      0;  // shares of 100 cores or more: their owner asked for the whole card's compute
  bool operator==(const DeviceUsage&) const = default;
  DeviceUsage& operator+=(const DeviceUsage& o) {
    slots += o.slots, memory += o.memory, cores += o.cores, exclusive += o.exclusive;
    return *this;
  }
  DeviceUsage& operator-=(const DeviceUsage& o) {
    slots -= o.slots, memory -= o.memory, cores -= o.cores, exclusive -= o.exclusive;
    return *this;
  }
};

// One entry of an allocation string: a share of one card for one container (spec/protocol.md 4).
struct DeviceShare {
  std::string uuid;
  std::string vendor;  // the vendor's word in allocations, e.g. "NVIDIA"
  MiB memory;
  Percent cores;
  bool operator==(const DeviceShare&) const = default;
};

// What a share takes of its card.
inline DeviceUsage UsageOf(const DeviceShare& share) {
  return {.slots = 1,
          .memory = share.memory,
          .cores = share.cores,
          .exclusive = share.cores.value >= 100 ? 1 : 0};
}

// Shares per container of the Pod, in the order of Pod::containers; empty for one without cards.
using PodShares = std::vector<std::vector<DeviceShare>>;

// What one container asks of one vendor (spec/scheduler.md 6.1).
struct ContainerRequest {
  int32_t count = 0;           // cards
  MiB memory;                  // per card; 0 with a percentage
  int32_t memory_percent = 0;  // 1..100; 0 = not by percentage
  Percent cores;               // per card
  bool operator==(const ContainerRequest&) const = default;
};

}  // namespace hami
