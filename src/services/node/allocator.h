// Allocator: answers kubelet's Allocate and GetPreferredAllocation (spec/device-plugin.md 6, 8,
// 18).
//
// kubelet --ids--> match a waiting Pod (watch) -> last line -> journal -> files -> edits
//                  -> annotations (PodSync) -> answer -> lock (LockKeeper)
//
// Lives on the state executor; Allocate and Prefer may be called from any thread and post to it.
// Every call is answered exactly once, also when the allocator is shutting down.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "platform/driver/node_vendor.h"
#include "platform/kubelet/types.h"
#include "platform/telemetry/histogram.h"
#include "services/node/cluster_view.h"
#include "services/node/host_files.h"
#include "services/node/inventory.h"
#include "services/node/journal.h"
#include "services/node/last_line.h"
#include "services/node/matcher.h"
#include "services/node/node_api.h"
#include "services/node/pod_sync.h"

namespace hami::node {

struct AllocatorOptions {
  std::string node;
  VendorWords words;
  std::vector<std::string> schedulers;  // whose Pods are served; empty: any that bring a decision
  std::string priority_resource;        // of a container's task priority
  bool disable_core_limit = false;
  bool allow_disable_control = true;  // CUDA_DISABLE_CONTROL switches a container's limits off
  bool oversubscribe = false;         // more memory is registered than the cards have
  Duration pod_wait = std::chrono::seconds(2);  // for a Pod whose watch event is on its way
  Duration api_wait = std::chrono::seconds(1);  // for the annotations before answering anyway
};

// What a container is limited to, for whoever makes the region and the read-only page.
struct LimitsRequest {
  std::string region_file;                // host path
  std::string region_inside;              // the same file as the container sees it
  std::string page_file;                  // host path
  std::vector<driver::CardShare> shares;  // sorted by the management library's index
  std::vector<MiB> physical;              // real memory behind each share; 0 = all of it is real
  int priority = 1;
  bool disable_core_limit = false;
  bool oversubscribe = false;
  bool allow_disable_control = false;
  int64_t unix_seconds = 0;
};
// Makes both; nothing to do when they are there. False: no page was made.
using MakeLimits = std::function<Result<bool>(const LimitsRequest&)>;

struct AllocatorCounters {
  uint64_t answered = 0;
  uint64_t repeated = 0;
  uint64_t other_card = 0;                  // kubelet's ids named other cards than the decision
  std::map<std::string, uint64_t> refused;  // by reason word
  telemetry::Histogram seconds{{0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 2, 5}};  // of Allocate
};

class Allocator final : public kubelet::DevicePluginHandler {
 public:
  struct Deps {
    Executor& executor;
    NodeApi& api;
    PodTable& pods;
    NodeView& view;
    Journal& journal;
    HostFiles& files;
    PodSync& sync;
    driver::NodeVendor& vendor;
    std::function<const Inventory&()> inventory;
    MakeLimits make_limits;
  };
  Allocator(Deps deps, AllocatorOptions options);

  // kubelet::DevicePluginHandler, any thread.
  void Allocate(std::vector<kubelet::DeviceIds> containers, kubelet::AllocateDone done) override;
  void Prefer(std::vector<kubelet::PreferredRequest> containers,
              kubelet::PreferredDone done) override;

  // Pods or the node changed: waiting calls look again.
  void Retry();
  // Answers every waiting call with an error; calls that come later too.
  void Stop();

  const AllocatorCounters& counters() const { return counters_; }
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Call;
  using CallPtr = std::shared_ptr<Call>;

  void Begin(const CallPtr& call);
  void Advance(const CallPtr& call);
  void Wait(const CallPtr& call);
  void AskServer(const CallPtr& call);
  void TimeUp(const CallPtr& call);
  void Serve(const CallPtr& call, const Match& match);
  Result<kubelet::ContainerResponse> Prepare(const Match& match,
                                             const std::vector<std::string>& ids);
  Result<void> Check(const Match& match) const;
  void Refuse(const CallPtr& call, const Pod* pod, std::string reason_word, Error error);
  void Answered(const CallPtr& call, kubelet::ContainerResponse response);
  void End(const CallPtr& call, Result<std::vector<kubelet::ContainerResponse>> result);
  MatchInput Input() const;
  std::vector<kubelet::DeviceIds> Preferences(
      const std::vector<kubelet::PreferredRequest>& containers);

  Deps deps_;
  AllocatorOptions options_;
  std::list<CallPtr> waiting_;
  struct Ticket {
    ContainerRef container;
    MonoTime until;
  };
  std::map<std::vector<std::string>, Ticket> tickets_;
  std::map<ContainerRef, MonoTime> repeated_;
  AllocatorCounters counters_;
  bool stopped_ = false;
};

// Which of the available ids to propose for the shares: for each one id of its card, the lowest
// free number, ids that must be in first. Empty when it cannot be done. Pure.
kubelet::DeviceIds ProposeIds(const std::vector<DeviceShare>& shares,
                              const kubelet::PreferredRequest& request);

}  // namespace hami::node
