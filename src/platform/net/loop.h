// Loop: the one I/O thread of a process (sockets, TLS, timers, signals).
//
// Owned by main; outlives every server and client made on it. Posting is thread-safe. Never block
// it: handlers that compute go to a worker pool or a state thread.
#pragma once

#include <functional>
#include <memory>

#include "base/executor.h"

namespace hami::net {

class Loop final : public Executor {
 public:
  Loop();
  ~Loop() override;  // stops and joins; tasks not started are dropped
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  void Post(Task task) override;
  TimerId PostAt(MonoTime when, Task task) override;
  void Cancel(TimerId id) override;
  Clock& clock() override { return SystemClock(); }

  // Runs `task` on the Loop's thread and returns when it is done; at once when already there.
  void RunSync(const Task& task);
  bool OnThread() const;

  // Blocks the calling thread (main) until SIGINT or SIGTERM; returns the signal's number.
  int WaitForSignal();

  struct Impl;
  Impl& impl() { return *impl_; }  // for platform/net only

 private:
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::net
