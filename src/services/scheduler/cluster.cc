#include "services/scheduler/cluster.h"

#include <algorithm>

#include "base/log.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"

namespace hami::scheduler {
namespace {

// Everything of the Node that a NodeState is made of, as one text to compare.
std::string Inputs(const Node& node, const std::vector<const vendor::Vendor*>& vendors,
                   const protocol::DeviceConfig& config) {
  std::string out = node.Annotation(protocol::kDeviceCordon);
  for (const vendor::Vendor* v : vendors) {
    out += '\n';
    out += node.Annotation(v->keys.register_key);
    out += '\n';
    if (!v->pair_scores.empty()) out += node.Annotation(v->pair_scores);
    out += vendor::IsServed(v->hooks.settings(config), node) ? "\n+" : "\n-";
  }
  return out;
}

}  // namespace

Cluster::Cluster(const protocol::DeviceConfig& config, LabelMap node_selector, Ledger& ledger,
                 ClusterEvents events)
    : config_(config),
      node_selector_(std::move(node_selector)),
      ledger_(ledger),
      events_(std::move(events)),
      vendors_(vendor::EnabledVendors(config)),
      managed_(vendor::ManagedResources(config)) {}

bool Cluster::Synced() const { return NotSyncedReason().empty(); }

std::string Cluster::NotSyncedReason() const {
  if (!pod_observer_.listed()) return "pods: not listed yet";
  if (!node_observer_.listed()) return "nodes: not listed yet";
  if (pod_observer_.stale()) return "pods: watch is broken";
  if (node_observer_.stale()) return "nodes: watch is broken";
  return "";
}

const Pod* Cluster::FindPod(std::string_view uid) const {
  auto it = pods_.find(std::string(uid));
  return it == pods_.end() ? nullptr : &it->second;
}

const Pod* Cluster::FindPod(const PodKey& key) const {
  auto it = uids_.find(key);
  return it == uids_.end() ? nullptr : FindPod(it->second);
}

std::string Cluster::UnreadablePodOn(std::string_view node) const {
  auto it = unreadable_.find(node);
  if (it == unreadable_.end() || it->second.empty()) return "";
  const std::string& uid = it->second.begin()->first;
  const Pod* pod = FindPod(uid);
  return pod != nullptr ? pod->key.Text() : uid;
}

size_t Cluster::unreadable_pods() const {
  size_t n = altered_.size();
  for (const auto& [node, pods] : unreadable_) n += pods.size();
  return n;
}

void Cluster::Collection::OnListBegin() {
  listing_ = true;
  seen_.clear();
}

void Cluster::Collection::OnUpsert(std::string_view json) {
  stale_ = false;
  if (pods_) {
    auto pod = protocol::DecodePod(json);
    if (!pod) {
      LOG(kWarn, "pod from the watch cannot be read").Kv("error", pod.error().message);
      return;
    }
    if (listing_) seen_.insert(pod->uid);
    cluster_.ApplyPod(std::move(*pod));
    return;
  }
  auto node = protocol::DecodeNode(json);
  if (!node) {
    LOG(kWarn, "node from the watch cannot be read").Kv("error", node.error().message);
    return;
  }
  if (listing_) seen_.insert(node->name);
  cluster_.ApplyNode(*node);
}

void Cluster::Collection::OnDelete(std::string_view json) {
  stale_ = false;
  if (pods_) {
    if (auto pod = protocol::DecodePod(json)) cluster_.DropPod(pod->uid);
  } else if (auto node = protocol::DecodeNode(json)) {
    cluster_.DropNode(node->name);
  }
}

void Cluster::Collection::OnListEnd() {
  listing_ = false;
  stale_ = false;
  std::vector<std::string> gone;
  if (pods_) {
    for (const auto& [uid, pod] : cluster_.pods_) {
      if (!seen_.contains(uid)) gone.push_back(uid);
    }
    // A claim of a Pod that the list does not show: Bound for certain is over; an assumed one
    // expires.
    for (const auto& [uid, claim] : cluster_.ledger_.claims()) {
      if (claim.state == ClaimState::kBound && !seen_.contains(uid)) gone.push_back(uid);
    }
    for (const auto& uid : gone) cluster_.DropPod(uid);
  } else {
    for (const auto& [name, inputs] : cluster_.node_inputs_) {
      if (!seen_.contains(name)) gone.push_back(name);
    }
    for (const auto& name : gone) cluster_.DropNode(name);
  }
  seen_.clear();
  bool first = !listed_;
  listed_ = true;
  if (first && cluster_.Synced() && cluster_.events_.synced) cluster_.events_.synced();
}

void Cluster::Collection::OnStale(Duration since) {
  if (!stale_) {
    LOG(kWarn, "watch is broken")
        .Kv("of", pods_ ? "pods" : "nodes")
        .Kv("seconds", since / std::chrono::seconds(1));
  }
  stale_ = true;
}

bool Cluster::Relevant(const Pod& pod) const {
  if (!pod.Annotation(protocol::kVgpuNode).empty()) return true;
  return std::any_of(pod.containers.begin(), pod.containers.end(), [&](const Container& c) {
    return std::any_of(managed_.begin(), managed_.end(), [&](const std::string& name) {
      return c.limits.contains(name) || c.requests.contains(name);
    });
  });
}

void Cluster::ApplyPod(Pod pod) {
  const std::string uid = pod.uid;
  if (!Relevant(pod) && ledger_.Find(uid) == nullptr) return;
  if (pod.Finished()) {
    altered_.erase(uid);
    ClearUnreadable(uid);
    Free(uid);
  } else if (!pod.node_name.empty()) {
    KeepDecision(pod);
    ApplyBoundPod(pod);
  }
  uids_[pod.key] = uid;
  Pod& kept = pods_[uid] = std::move(pod);
  events_.pod_changed(kept);
}

void Cluster::Free(const std::string& uid) {
  std::string node = ledger_.Release(uid);
  if (!node.empty()) events_.capacity_changed(node);
}

// A bound Pod keeps what it was given while it lives, whatever its annotations say later: a share
// made smaller would be promised again while the containers still use it.
void Cluster::KeepDecision(Pod& pod) {
  const Claim* claim = ledger_.Find(pod.uid);
  auto known = pods_.find(pod.uid);
  if (claim == nullptr || claim->state != ClaimState::kBound || known == pods_.end()) return;
  // Only what the watch has shown as bound here, and readable, is a decision to keep.
  if (known->second.node_name != pod.node_name ||
      known->second.Annotation(protocol::kVgpuNode) != pod.node_name || IsUnreadable(pod)) {
    return;
  }
  std::string changed;
  auto keep = [&](std::string_view key) {
    const std::string& given = known->second.Annotation(key);
    if (key.empty() || pod.Annotation(key) == given) return;
    changed += (changed.empty() ? "" : ", ") + std::string(key);
    pod.annotations.insert_or_assign(std::string(key), given);
  };
  keep(protocol::kVgpuNode);
  keep(protocol::kDecisionSeal);
  for (const vendor::Vendor& v : vendor::AllVendors()) keep(v.keys.allocated);
  if (changed.empty()) {
    altered_.erase(pod.uid);
    return;
  }
  std::string& noted = altered_[pod.uid];
  if (noted == changed) return;
  noted = changed;
  LOG(kError, "bound pod's allocation was changed; its charge stays what the pod was given")
      .Kv("pod", pod.key.Text())
      .Kv("node", pod.node_name)
      .Kv("annotations", changed);
}

void Cluster::ApplyBoundPod(const Pod& pod) {
  auto shares = vendor::AllocatedShares(pod, config_);
  if (!shares) {
    MarkUnreadable(pod, shares.error());
    return;
  }
  ClearUnreadable(pod.uid);
  bool ours = pod.Annotation(protocol::kVgpuNode) == pod.node_name && !shares->empty();
  if (!ours) {  // bound by somebody else: what we had planned for it is void
    Free(pod.uid);
    return;
  }
  Claim claim{.pod = pod.key, .node = pod.node_name, .state = ClaimState::kBound};
  claim.charge = policy::ChargeOf(pod, *shares);
  const Claim* before = ledger_.Find(pod.uid);
  bool same_charge =
      before != nullptr && before->node == claim.node && before->charge == claim.charge;
  if (same_charge && before->state == ClaimState::kBound) return;
  std::string freed = before == nullptr || same_charge ? "" : before->node;
  ledger_.Put(pod.uid, std::move(claim));
  if (!freed.empty()) events_.capacity_changed(freed);
}

void Cluster::DropPod(const std::string& uid) {
  altered_.erase(uid);
  ClearUnreadable(uid);
  std::string freed = ledger_.Release(uid);
  if (auto it = pods_.find(uid); it != pods_.end()) {
    auto name = uids_.find(it->second.key);
    if (name != uids_.end() && name->second == uid) uids_.erase(name);
    pods_.erase(it);
  }
  if (!freed.empty()) events_.capacity_changed(freed);
  events_.pod_gone(uid);
}

bool Cluster::IsUnreadable(const Pod& pod) const {
  auto it = unreadable_.find(pod.node_name);
  return it != unreadable_.end() && it->second.contains(pod.uid);
}

void Cluster::MarkUnreadable(const Pod& pod, const Error& error) {
  std::string& known = unreadable_[pod.node_name][pod.uid];
  if (known == error.message) return;
  known = error.message;
  LOG(kError, "bound pod's allocation cannot be read; no new pod goes to its node")
      .Kv("pod", pod.key.Text())
      .Kv("node", pod.node_name)
      .Kv("error", error.message);
}

void Cluster::ClearUnreadable(const std::string& uid) {
  for (auto it = unreadable_.begin(); it != unreadable_.end();) {
    it->second.erase(uid);
    it = it->second.empty() ? unreadable_.erase(it) : std::next(it);
  }
}

void Cluster::ApplyNode(const Node& node) {
  events_.node_lock(node.name, {node.resource_version, protocol::ReadNodeLock(node)});
  bool selected = std::all_of(node_selector_.begin(), node_selector_.end(), [&](const auto& want) {
    auto it = node.labels.find(want.first);
    return it != node.labels.end() && it->second == want.second;
  });
  std::string inputs = selected ? Inputs(node, vendors_, config_) : "";
  auto [it, fresh] = node_inputs_.try_emplace(node.name);
  if (!fresh && it->second == inputs) return;
  it->second = inputs;
  const auto said = undecodable_nodes_.extract(node.name);
  vendor::NodeView view;
  if (selected) view = vendor::ReadNode(node, config_);
  for (const Error& problem : view.problems) {
    undecodable_nodes_[node.name] = problem.message;
    if (!said.empty() && said.mapped() == problem.message) continue;  // something else changed
    LOG(kError, "node is left out: its registration cannot be read")
        .Kv("node", node.name)
        .Kv("error", problem.message);
  }
  if (!view.problems.empty() || view.state.cards.empty()) {
    ledger_.RemoveNode(node.name);
    return;
  }
  ledger_.SetNode(std::move(view.state));
  events_.capacity_changed(node.name);
}

void Cluster::DropNode(const std::string& name) {
  node_inputs_.erase(name);
  undecodable_nodes_.erase(name);
  ledger_.RemoveNode(name);
  events_.node_gone(name);
}

}  // namespace hami::scheduler
