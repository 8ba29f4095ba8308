// BindQueue: one bind at a time per node, in order of arrival, under the node lock.
//
// Owner and only caller: the scheduler's state thread. A bind that waits is a record here; no
// thread waits (design.md decisions 4 and 6). The lock is the annotation of spec/protocol.md 5:
// taken here by a conditional patch, cleared by the node's plugin after Allocate, and released here
// when its holder cannot come any more. What it asks of the outside goes through BindPort; answers
// come back through the callbacks, later, on the same thread.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/executor.h"
#include "base/result.h"
#include "domain/model/pod.h"
#include "domain/protocol/node_lock.h"

namespace hami::scheduler {

struct BindJob {
  std::string uid;
  PodKey pod;
  std::string node;
  MonoTime deadline{};                     // after it the job fails with the contention text
  std::function<void(Result<void>)> done;  // exactly once
};

// A node's lock as the API server last showed it.
struct LockView {
  std::string resource_version;  // of the Node
  protocol::NodeLock lock;
};

enum class HolderState : uint8_t {
  kWaiting,  // bound to the node and its plugin still at work: respect the lock
  kUnbound,  // exists, on no node
  kMoved,    // as kUnbound, and being bound to another node by this scheduler
  kOver,     // served, failed, finished, on another node, or another Pod of the same name
  kUnknown,  // no such Pod is known
};

class BindPort {
 public:
  virtual ~BindPort() = default;
  using LockDone = std::function<void(Result<LockView>)>;
  // Conditional on `seen.resource_version`. On success: the node as it is after the patch.
  virtual void TakeLock(const BindJob& job, const LockView& seen, LockDone done) = 0;
  virtual void ReleaseLock(const std::string& node, const LockView& seen, LockDone done) = 0;
  virtual void ReadLock(const std::string& node, LockDone done) = 0;
  // Writes the Binding. kFailedPrecondition when this replica may not (no longer leader).
  virtual void PostBinding(const BindJob& job, std::function<void(Result<void>)> done) = 0;
  virtual HolderState StateOf(const std::string& node, const protocol::NodeLock& lock) = 0;
};

struct BindQueueOptions {
  Duration lock_timeout = protocol::kNodeLockTimeout;
  // A holder that is on no node, or unknown, this long after we saw its lock has died with its
  // scheduler.
  Duration orphan_after = std::chrono::seconds(10);
  // As long as a Binding that a predecessor sent may be on its way.
  Duration moved_after = std::chrono::seconds(3);
  Duration unknown_after = std::chrono::seconds(1);
  Duration recheck = std::chrono::milliseconds(500);  // while binds wait behind a foreign lock
};

class BindQueue {
 public:
  BindQueue(Executor& executor, BindPort& port, BindQueueOptions options);
  ~BindQueue();  // outstanding jobs are dropped: their `done` gets kCancelled

  // A second job of the same Pod replaces nothing: it fails with kAlreadyExists.
  void Submit(BindJob job);
  // Every time the watch shows the node. Older versions than what is known are ignored.
  void Observe(const std::string& node, LockView view);
  void Forget(const std::string& node);  // the node is gone: its jobs fail
  // Something about some holder changed (a Pod was served, finished or deleted).
  void HoldersChanged();
  size_t waiting() const;
  bool Contains(std::string_view uid) const;

 private:
  struct Lane {
    std::optional<LockView> view;
    WallTime lock_first_seen{};
    MonoTime lock_seen_at{};
    std::deque<BindJob> jobs;     // front: the one at work when busy
    bool busy = false;            // a call is under way
    bool reread = false;          // what we know was refused or is doubtful: ask the server
    std::string refused_version;  // our patch conflicted with this version: wait for a newer one
    Executor::TimerId timer = 0;
  };
  void Pump(const std::string& node);
  void TakeFor(const std::string& node, Lane& lane);
  void Post(const std::string& node);  // the lock is ours
  void Bound(const std::string& node, const std::string& uid, Result<void> result);
  bool Stale(const std::string& node, const Lane& lane) const;
  void Finish(Lane& lane, const std::string& uid, Result<void> result);
  void DropOverdue(const std::string& node, Lane& lane);
  // The job that holds the lock already, its scheduler having died before the Binding, comes first.
  // False when there is none.
  static bool HolderFirst(Lane& lane);
  void Arm(const std::string& node, Lane& lane);
  void Accept(Lane& lane, LockView view);
  // Wraps a callback so that it is harmless after destruction.
  template <class F>
  auto Guard(F f) {
    return [alive = std::weak_ptr<int>(alive_), f = std::move(f)](auto&&... args) {
      if (alive.lock()) f(std::forward<decltype(args)>(args)...);
    };
  }

  Executor& executor_;
  BindPort& port_;
  BindQueueOptions options_;
  std::map<std::string, Lane, std::less<>> lanes_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace hami::scheduler
