// The state thread's side of Service; private to this folder. Every method but the constructor and
// the handlers runs on `state`.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "services/scheduler/bind_queue.h"
#include "services/scheduler/binding.h"
#include "services/scheduler/cluster.h"
#include "services/scheduler/extender_json.h"
#include "services/scheduler/ledger.h"
#include "services/scheduler/requeue.h"
#include "services/scheduler/service.h"
#include "services/scheduler/stats.h"

namespace hami::scheduler {

// Empty text: none. Else the text for the extender's Error.
struct Obstacle {
  std::string text;
  bool passes = false;  // by itself and soon, as far as this replica can tell
};

struct Service::Impl {
  Impl(kube::Client& api, EventSink events, ServiceOptions options);
  ~Impl();

  // filter.cc
  void Filter(FilterArgs args, PodRequest request, net::Responder responder, MonoTime arrived);
  FilterAnswer DecideLive(const FilterArgs& args, const PodRequest& request);
  FilterAnswer Simulate(const FilterArgs& args, const PodRequest& request) const;
  // Gives the Pod its cards in the ledger.
  void Assume(const Pod& pod, const Placement& placement);
  void AnnotateThenReply(const Pod& pod, FilterAnswer answer, net::Responder responder);
  // Null: not registered, or an allocation there cannot be read.
  const NodeState* Candidate(const std::string& node) const;
  // The Pod was placed, is bound or gone: no longer one of those that were refused.
  void NoLongerWaits(const std::string& uid);
  // This replica decides from now on: Pods that a predecessor refused are its to wake.
  void AdoptWaiting();
  void CapacityChangedEverywhere();
  bool FitsNow(const std::string& uid, const std::string& node);
  void Poke(const std::string& uid, uint64_t count);

  // bind.cc
  void Bind(BindArgs args, net::Responder responder, MonoTime arrived);
  // The Pod's claim on that node, planned anew when it expired or belongs to an earlier process.
  Result<void> EnsureClaim(const BindArgs& args);
  Result<protocol::Annotations> Prepare(const BindJob& job);
  // As the watch shows the Pod, or as far as /bind names it.
  Pod PodOf(const std::string& uid, const PodKey& key) const;
  void BindDone(const BindJob& job, Result<void> result, MonoTime started);
  HolderState StateOf(const std::string& node, const protocol::NodeLock& lock) const;
  // `failed` is called on the state thread.
  void LabelPod(const PodKey& pod, std::string_view key, const std::string& value,
                Task failed = nullptr);

  // service.cc
  // Why this replica may not decide now.
  Obstacle WhyNot();
  // Whether a request that meets the obstacle should wait: an error would put its Pod into
  // kube-scheduler's backoff of up to 10 s, and most obstacles are gone before that. Each one may
  // hold requests up for kHoldFor in all.
  bool WorthWaiting(const Obstacle& obstacle);
  // Runs `again` in a moment; at the latest when the service stops.
  void Hold(Task again);
  void RunHeld();
  void Housekeeping();
  std::string MetricsText(const MoreMetrics& more);

  kube::Client& api;
  EventSink record;
  ServiceOptions options;
  // Shared with calls under way, which may outlive this object by a moment.
  std::shared_ptr<ThreadExecutor> thread = std::make_shared<ThreadExecutor>("state");
  ThreadExecutor& state = *thread;
  std::shared_ptr<int> alive = std::make_shared<int>(0);
  Executor::TimerId housekeeping_timer = 0;
  WorkerPool workers{"worker", 2};
  Ledger ledger;
  Stats stats;
  uint64_t housekeepings = 0;
  std::vector<Task> held;
  Executor::TimerId held_timer = 0;
  std::optional<MonoTime> obstructed_since;
  bool deciding = false;  // without an obstacle when it was last looked at
  bool stopping = false;
  std::unique_ptr<Cluster> cluster;
  std::unique_ptr<ApiBindPort> bind_port;
  std::unique_ptr<BindQueue> bind_queue;
  std::unique_ptr<Requeuer> requeuer;
  std::map<std::string, PodRequest> refused;  // requests of Pods that wait, by uid
  std::unique_ptr<kube::Reflector> pods;
  std::unique_ptr<kube::Reflector> nodes;
};

}  // namespace hami::scheduler
