// RoleLabels: hami.io/scheduler-role on the scheduler's own Pods.
//
// While this replica leads it labels its Pod "leader" and its siblings "follower": the reference's
// Service selects by that label (spec/scheduler.md 5.1). Patches only what differs; looks every 15
// s and when told. Lives on the Loop given; all its work runs there.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/executor.h"
#include "platform/kube/client.h"

namespace hami::scheduler {

struct RoleLabelOptions {
  std::string ns;   // of our Pod
  std::string pod;  // our Pod's name
  std::function<bool()> leading;
};

class RoleLabels {
 public:
  RoleLabels(kube::Client& api, Executor& executor, RoleLabelOptions options);
  ~RoleLabels();
  // Leadership changed: look now.
  void Refresh();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::scheduler
