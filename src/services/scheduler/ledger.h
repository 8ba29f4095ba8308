// Ledger: how much of each card is promised to which Pod, on every node.
//
// Owner and only caller: the scheduler's state thread. Not thread-safe, by design. Derived state:
// it can be thrown away and rebuilt from Nodes and bound Pods (design.md decision 2). A claim is
// Assumed when /filter gave the cards, Binding while the API server is asked, Bound once the watch
// shows the Pod on its node; Assumed ones expire, so nothing can leak. Claims outlive their cards:
// a card that vanishes and comes back finds what was promised of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "domain/model/cluster.h"
#include "domain/model/pod.h"
#include "domain/model/verdict.h"
#include "domain/policy/charge.h"

namespace hami::scheduler {

using policy::Charge;  // by card UUID

enum class ClaimState : uint8_t { kAssumed, kBinding, kBound };

struct Claim {
  PodKey pod;
  std::string node;
  ClaimState state = ClaimState::kAssumed;
  Charge charge;
  Placement placement;  // what /bind will write; empty for claims learned from the watch
  MonoTime expires{};   // Assumed only
};

class Ledger {
 public:
  // Replaces what the node registers; its usage is ignored: what is promised there is kept.
  void SetNode(NodeState state);
  void RemoveNode(std::string_view name);
  // Null when the node is not registered. Valid until the next call that changes the node.
  const NodeState* FindNode(std::string_view name) const;
  size_t node_count() const { return nodes_.size(); }
  template <class F>
  void ForEachNode(F&& f) const {
    for (const auto& [name, entry] : nodes_) f(entry.state);
  }

  // Sets the Pod's claim, replacing an earlier one.
  void Put(const std::string& uid, Claim claim);
  // Idempotent. Returns the node whose cards came free, "" when there was nothing.
  std::string Release(std::string_view uid);
  const Claim* Find(std::string_view uid) const;
  void SetState(std::string_view uid, ClaimState state);
  const std::unordered_map<std::string, Claim>& claims() const { return claims_; }
  // Drops Assumed claims that are due; returns the nodes freed.
  std::vector<std::string> Expire(MonoTime now);

  // Recomputes every sum from the claims and compares; returns one line per difference, and
  // repairs.
  std::vector<std::string> Audit();

 private:
  struct NodeEntry {
    NodeState state;
    Charge promised;  // sums over claims, cards that are not registered included
  };
  void Apply(const Claim& claim, int sign);
  static void Spread(NodeEntry& entry);  // promised -> usage beside the devices

  std::map<std::string, NodeEntry, std::less<>> nodes_;
  std::map<std::string, Charge, std::less<>> homeless_;  // promises on nodes not registered (now)
  std::unordered_map<std::string, Claim> claims_;        // by Pod uid
};

}  // namespace hami::scheduler
