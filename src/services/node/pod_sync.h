// PodSync: brings a Pod's annotations in step with what its containers were given
// (spec/protocol.md 6, spec/device-plugin.md 6.3, 6.6).
//
// Level-triggered per Pod: from the records of the journal and the Pod as the watch shows it follow
// A and the bind phase that should be there; the difference is one merge patch with the Pod's uid
// as precondition, repeated until it is applied. Lives on the state executor.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/executor.h"
#include "services/node/backoff.h"
#include "services/node/cluster_view.h"
#include "services/node/journal.h"
#include "services/node/node_api.h"
#include "services/node/pod_shares.h"

namespace hami::node {

class PodSync {
 public:
  using Done = std::function<void()>;

  // `applied(uid)` runs when a Pod is in step.
  PodSync(Executor& executor, NodeApi& api, PodTable& pods, Journal& journal, VendorWords words,
          std::function<void(const std::string& uid)> applied)
      : executor_(executor),
        api_(api),
        pods_(pods),
        journal_(journal),
        words_(std::move(words)),
        applied_(std::move(applied)) {}

  // Calls `done` once the Pod is in step with what holds now, or has gone.
  void Sync(const std::string& uid, Done done);
  // The Pod's allocation has failed: its phase is to say so.
  void MarkFailed(const std::string& uid, Done done);
  // For every Pod of this node that needs it; called when Pods change.
  void Reconcile();

 private:
  struct Work {
    bool in_flight = false;
    bool waiting = false;
    std::vector<Done> waiters;  // for the patch that starts next
    Backoff backoff{std::chrono::milliseconds(100), std::chrono::seconds(5)};
  };
  // Annotations that differ from what they should be.
  std::map<std::string, std::string> Difference(const Pod& pod) const;
  void Step(const std::string& uid);
  void Patch(const Pod& pod, const std::map<std::string, std::string>& difference);
  void Wait(const std::string& uid);
  void Reread(const std::string& uid);
  void Finish(const std::string& uid);

  Executor& executor_;
  NodeApi& api_;
  PodTable& pods_;
  Journal& journal_;
  VendorWords words_;
  std::function<void(const std::string&)> applied_;
  std::map<std::string, Work> work_;
  std::set<std::string> failed_;
};

}  // namespace hami::node
