// Cluster: what the scheduler knows of Pods and Nodes, kept by two watches.
//
// Owner and only caller: the state thread. Translates objects into the ledger: a bound Pod that
// carries our decision is a claim; a Pod whose containers have all ended is none any more; a Node
// is its registered cards. Level-triggered: the same object twice, or a missed one, changes nothing
// in the end.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

#include "domain/model/pod.h"
#include "domain/policy/compile.h"
#include "domain/protocol/device_config.h"
#include "domain/vendor/vendor.h"
#include "platform/kube/reflector.h"
#include "services/scheduler/bind_queue.h"
#include "services/scheduler/ledger.h"

namespace hami::scheduler {

using LabelMap = std::map<std::string, std::string, std::less<>>;

// What others want to know at once.
struct ClusterEvents {
  std::function<void(const std::string& node, LockView)> node_lock;
  std::function<void(const std::string& node)> node_gone;
  std::function<void(const std::string& node)> capacity_changed;  // came free, or cards appeared
  std::function<void(const Pod&)> pod_changed;
  std::function<void(const std::string& uid)> pod_gone;
  std::function<void()> synced;
};

class Cluster {
 public:
  Cluster(const protocol::DeviceConfig& config, LabelMap node_selector, Ledger& ledger,
          ClusterEvents events);

  kube::Observer& pod_observer() { return pod_observer_; }
  kube::Observer& node_observer() { return node_observer_; }

  // Both lists were read whole, and neither watch has been broken for long.
  bool Synced() const;
  // Why not, for /readyz: "pods: not listed yet".
  std::string NotSyncedReason() const;

  // Pods with our resources or a decision of ours; null when unknown.
  const Pod* FindPod(std::string_view uid) const;
  const Pod* FindPod(const PodKey& key) const;
  const std::unordered_map<std::string, Pod>& pods() const { return pods_; }
  // False while some bound Pod on the node cannot be read: its share is unknown, so nothing new
  // goes there.
  bool SafeNode(std::string_view node) const { return !unreadable_.contains(node); }
  // One such Pod, "namespace/name"; "" when there is none.
  std::string UnreadablePodOn(std::string_view node) const;
  // Those, and Pods whose decision somebody changed after they were bound: what they were given
  // is known and stays theirs.
  size_t unreadable_pods() const;
  const std::map<std::string, std::string, std::less<>>& undecodable_nodes() const {
    return undecodable_nodes_;
  }

 private:
  // One collection: which objects the running list has shown.
  class Collection final : public kube::Observer {
   public:
    Collection(Cluster& cluster, bool pods) : cluster_(cluster), pods_(pods) {}
    void OnListBegin() override;
    void OnUpsert(std::string_view json) override;
    void OnDelete(std::string_view json) override;
    void OnListEnd() override;
    void OnStale(Duration since) override;
    void OnFresh() override { stale_ = false; }
    bool listed() const { return listed_; }
    bool stale() const { return stale_; }

   private:
    Cluster& cluster_;
    bool pods_;
    bool listing_ = false, listed_ = false, stale_ = false;
    std::set<std::string, std::less<>> seen_;
  };
  void ApplyPod(Pod pod);
  void DropPod(const std::string& uid);
  void KeepDecision(Pod& pod);
  void ApplyBoundPod(const Pod& pod);
  void Free(const std::string& uid);  // the Pod holds nothing any more
  void ApplyNode(const Node& node);
  void DropNode(const std::string& name);
  bool Relevant(const Pod& pod) const;
  bool IsUnreadable(const Pod& pod) const;
  void MarkUnreadable(const Pod& pod, const Error& error);
  void ClearUnreadable(const std::string& uid);

  const protocol::DeviceConfig& config_;
  LabelMap node_selector_;
  Ledger& ledger_;
  ClusterEvents events_;
  std::vector<const vendor::Vendor*> vendors_;
  std::vector<std::string> managed_;
  Collection pod_observer_{*this, true};
  Collection node_observer_{*this, false};

  std::unordered_map<std::string, Pod> pods_;                          // by uid
  std::map<PodKey, std::string> uids_;                                 // latest of that name
  std::map<std::string, std::string, std::less<>> node_inputs_;        // what the state was made of
  std::map<std::string, std::string, std::less<>> undecodable_nodes_;  // node -> error
  std::map<std::string, std::map<std::string, std::string>, std::less<>>
      unreadable_;                                           // node -> uid -> error
  std::map<std::string, std::string, std::less<>> altered_;  // uid -> which annotations
};

}  // namespace hami::scheduler
