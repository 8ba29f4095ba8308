// NodeState: one node's cards and what is promised of them, as decisions see it.
//
// Owner: whoever holds the ledger (the scheduler's state thread; a snapshot in the CLI). Plain
// values; no threads. Decisions only read it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "domain/model/device.h"

namespace hami {

// One vendor's cards of a node. `usage` runs parallel to `devices`, which keep registration order.
struct CardSet {
  std::vector<Device> devices;
  std::vector<DeviceUsage> usage;
  // Link scores, row-major devices x devices (spec/vendors.md B.1); empty when the node has none.
  std::vector<int32_t> pair_scores;
  bool operator==(const CardSet&) const = default;
};

struct NodeState {
  std::string name;
  std::map<std::string, CardSet, std::less<>> cards;  // key: vendor word, e.g. "NVIDIA"
  std::set<std::string, std::less<>> cordoned;        // UUIDs of hami.io/device-cordon
  bool operator==(const NodeState&) const = default;
};

}  // namespace hami
