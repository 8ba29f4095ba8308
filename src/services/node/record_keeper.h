// RecordKeeper: what becomes of the journal's records after Allocate has answered.
//
// A record steps on as its writes arrive in the API server, and goes with its Pod. Records that a
// crash left half done are asked of kubelet once: it knows whether our answer reached it
// (spec/device-plugin.md 18). State thread, but for the one call to kubelet.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/executor.h"
#include "platform/kubelet/pod_resources.h"
#include "services/node/cluster_view.h"
#include "services/node/host_files.h"
#include "services/node/journal.h"
#include "services/node/matcher.h"

namespace hami::node {

class RecordKeeper {
 public:
  struct Deps {
    Executor& executor;
    PodTable& pods;
    Journal& journal;
    HostFiles& files;
    std::function<void()> changed;  // records were decided upon: everybody looks again
  };
  // `socket`: kubelet's PodResources; empty: kubelet is never asked.
  RecordKeeper(Deps deps, std::string resource, std::string socket);

  // The journal has been read.
  void Begin();
  // Pods or the clock moved on.
  void Sweep();
  // The Pod's annotations are written; the node's lock is given back.
  void Patched(const std::string& uid);
  void Released(const std::string& uid);

  // Waits for the call to kubelet; before the executor ends.
  void Join();

 private:
  void AskKubelet();
  void Decide(const Result<std::vector<kubelet::HeldDevices>>& held);
  bool Holds(const std::vector<kubelet::HeldDevices>& held, const Record& record) const;
  void Reached(const std::string& uid, Step from, Step to, std::string_view word);

  Deps deps_;
  const std::string resource_;
  const std::string socket_;
  std::set<ContainerRef> unsure_;  // records that a crash left before kCommitted
  bool asked_ = false;
  std::thread call_;
};

}  // namespace hami::node
