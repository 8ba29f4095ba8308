// Executor: where work runs. ThreadExecutor owns one thread (a "state thread"); WorkerPool several;
// ManualExecutor runs on the test's own thread with a fake clock.
//
// Post and PostAt may be called from any thread. Tasks of one serial executor never overlap and
// keep their order. Destruction drops tasks that have not started and waits for the one that runs.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"

namespace hami {

using Task = std::function<void()>;

class Executor {
 public:
  using TimerId = uint64_t;

  virtual ~Executor() = default;
  virtual void Post(Task task) = 0;
  // Runs once at `when` or soon after. Cancel of a timer that has run is harmless.
  virtual TimerId PostAt(MonoTime when, Task task) = 0;
  virtual void Cancel(TimerId id) = 0;
  virtual Clock& clock() = 0;
  TimerId PostAfter(Duration d, Task task) { return PostAt(clock().Mono() + d, std::move(task)); }
};

// One thread, tasks in order of posting, timers in order of time.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(std::string thread_name);  // at most 15 characters are shown
  ~ThreadExecutor() override;
  ThreadExecutor(const ThreadExecutor&) = delete;
  ThreadExecutor& operator=(const ThreadExecutor&) = delete;

  void Post(Task task) override;
  TimerId PostAt(MonoTime when, Task task) override;
  void Cancel(TimerId id) override;
  Clock& clock() override { return SystemClock(); }

 private:
  void Run();

  Mutex mutex_;
  CondVar wake_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  std::map<std::pair<MonoTime, TimerId>, Task> timers_ GUARDED_BY(mutex_);
  std::map<TimerId, MonoTime> due_ GUARDED_BY(mutex_);
  TimerId next_id_ GUARDED_BY(mutex_) = 1;
  bool stop_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

// N threads for work that must not hold up anybody; no order between tasks.
class WorkerPool {
 public:
  WorkerPool(std::string thread_name, int threads);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // False when more than `kMaxQueued` tasks wait: the caller answers "overloaded".
  bool TryPost(Task task);
  static constexpr size_t kMaxQueued = 10'000;

 private:
  void Run();

  Mutex mutex_;
  CondVar wake_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  bool stop_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

// For tests: nothing runs until RunReady or Advance is called.
class ManualExecutor final : public Executor {
 public:
  explicit ManualExecutor(FakeClock& clock) : clock_(clock) {}
  void Post(Task task) override;
  TimerId PostAt(MonoTime when, Task task) override;
  void Cancel(TimerId id) override;
  Clock& clock() override { return clock_; }

  // Runs posted tasks and due timers until none is left; returns how many ran.
  int RunReady();
  // Moves the clock forward timer by timer, running what becomes due.
  void Advance(Duration d);

 private:
  FakeClock& clock_;
  Mutex mutex_;
  std::deque<Task> queue_ GUARDED_BY(mutex_);
  std::map<std::pair<MonoTime, TimerId>, Task> timers_ GUARDED_BY(mutex_);
  TimerId next_id_ GUARDED_BY(mutex_) = 1;
};

}  // namespace hami
