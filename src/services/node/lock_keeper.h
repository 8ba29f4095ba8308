// LockKeeper: gives the node's lock back as soon as its Pod is through (spec/device-plugin.md 7).
//
// Level-triggered: looks at the lock and the Pod it names whenever either changes, so a release
// that failed is tried until the lock is seen to be gone. Only the owner's lock is touched, and
// only if the node has not changed since it was read. Lives on the state executor.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/executor.h"
#include "domain/protocol/node_lock.h"
#include "services/node/backoff.h"
#include "services/node/cluster_view.h"
#include "services/node/node_api.h"

namespace hami::node {

class LockKeeper {
 public:
  // `released(uid)` is told when a Pod's lock was given back.
  LockKeeper(Executor& executor, NodeApi& api, NodeView& view, PodTable& pods,
             std::function<void(const std::string& uid)> released)
      : executor_(executor), api_(api), view_(view), pods_(pods), released_(std::move(released)) {}

  void Reconcile();
  uint64_t releases() const { return releases_; }

 private:
  void Release(const protocol::NodeLock& lock, const std::string& uid);
  void AskForHolder(const protocol::NodeLock& lock);
  void RetryLater();
  void Reread();

  Executor& executor_;
  NodeApi& api_;
  NodeView& view_;
  PodTable& pods_;
  std::function<void(const std::string&)> released_;
  bool in_flight_ = false;
  bool waiting_ = false;     // after a failure
  std::string unknown_raw_;  // a lock whose holder is not known here,
  MonoTime ask_at_{};        // when the server is asked about it,
  bool ask_timer_ = false;   // and whether a timer will
  Backoff backoff_{std::chrono::milliseconds(100), std::chrono::seconds(5)};
  uint64_t releases_ = 0;
};

}  // namespace hami::node
