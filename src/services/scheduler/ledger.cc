#include "services/scheduler/ledger.h"

#include <algorithm>

namespace hami::scheduler {
namespace {

std::string Describe(const DeviceUsage& u) {
  return std::to_string(u.slots) + " slots, " + std::to_string(u.memory.value) + " MiB, " +
         std::to_string(u.cores.value) + " cores";
}

}  // namespace

void Ledger::Spread(NodeEntry& entry) {
  for (auto& [word, set] : entry.state.cards) {
    set.usage.assign(set.devices.size(), DeviceUsage{});
    for (size_t i = 0; i < set.devices.size(); ++i) {
      auto it = entry.promised.find(set.devices[i].id);
      if (it != entry.promised.end()) set.usage[i] = it->second;
    }
  }
}

void Ledger::SetNode(NodeState state) {
  auto [it, fresh] = nodes_.try_emplace(state.name);
  NodeEntry& entry = it->second;
  if (fresh) {
    if (auto waiting = homeless_.extract(state.name)) entry.promised = std::move(waiting.mapped());
  }
  entry.state = std::move(state);
  Spread(entry);
}

void Ledger::RemoveNode(std::string_view name) {
  auto it = nodes_.find(name);
  if (it == nodes_.end()) return;
  if (!it->second.promised.empty()) homeless_[it->first] = std::move(it->second.promised);
  nodes_.erase(it);
}

const NodeState* Ledger::FindNode(std::string_view name) const {
  auto it = nodes_.find(name);
  return it == nodes_.end() ? nullptr : &it->second.state;
}

void Ledger::Apply(const Claim& claim, int sign) {
  auto node = nodes_.find(claim.node);
  Charge& sums = node == nodes_.end() ? homeless_[claim.node] : node->second.promised;
  for (const auto& [uuid, usage] : claim.charge) {
    DeviceUsage& sum = sums[uuid];
    sign > 0 ? sum += usage : sum -= usage;
    if (node != nodes_.end()) {
      for (auto& [word, set] : node->second.state.cards) {
        for (size_t i = 0; i < set.devices.size(); ++i) {
          if (set.devices[i].id == uuid) set.usage[i] = sum;
        }
      }
    }
    if (sum == DeviceUsage{}) sums.erase(uuid);
  }
  if (node == nodes_.end() && sums.empty()) homeless_.erase(claim.node);
}

void Ledger::Put(const std::string& uid, Claim claim) {
  Release(uid);
  Apply(claim, +1);
  claims_[uid] = std::move(claim);
}

std::string Ledger::Release(std::string_view uid) {
  auto it = claims_.find(std::string(uid));
  if (it == claims_.end()) return "";
  Apply(it->second, -1);
  std::string node = std::move(it->second.node);
  claims_.erase(it);
  return node;
}

const Claim* Ledger::Find(std::string_view uid) const {
  auto it = claims_.find(std::string(uid));
  return it == claims_.end() ? nullptr : &it->second;
}

void Ledger::SetState(std::string_view uid, ClaimState state) {
  auto it = claims_.find(std::string(uid));
  if (it != claims_.end()) it->second.state = state;
}

std::vector<std::string> Ledger::Expire(MonoTime now) {
  std::vector<std::string> due;
  for (const auto& [uid, claim] : claims_) {
    if (claim.state == ClaimState::kAssumed && claim.expires <= now) due.push_back(uid);
  }
  std::vector<std::string> freed;
  for (const auto& uid : due) freed.push_back(Release(uid));
  return freed;
}

std::vector<std::string> Ledger::Audit() {
  std::map<std::string, Charge, std::less<>> expected;
  for (const auto& [uid, claim] : claims_) {
    for (const auto& [uuid, usage] : claim.charge) expected[claim.node][uuid] += usage;
  }
  std::vector<std::string> differences;
  auto compare = [&](const std::string& node, Charge& have) {
    Charge want;
    if (auto it = expected.find(node); it != expected.end()) want = it->second;
    std::erase_if(want, [](const auto& entry) { return entry.second == DeviceUsage{}; });
    if (have == want) return;
    for (const auto& [uuid, usage] : want) {
      if (have[uuid] != usage) {
        differences.push_back("node " + node + " card " + uuid + ": account says " +
                              Describe(have[uuid]) + ", claims add up to " + Describe(usage));
      }
    }
    for (const auto& [uuid, usage] : have) {
      if (!want.contains(uuid) && usage != DeviceUsage{}) {
        differences.push_back("node " + node + " card " + uuid + ": account says " +
                              Describe(usage) + ", no claim is known");
      }
    }
    have = std::move(want);
  };
  for (auto& [name, entry] : nodes_) {
    compare(name, entry.promised);
    Spread(entry);
  }
  for (auto& [name, sums] : homeless_) compare(name, sums);
  return differences;
}

}  // namespace hami::scheduler
