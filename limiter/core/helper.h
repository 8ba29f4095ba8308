// The thread `hami-core`: what need not be done at a launch. Each second it publishes the
// utilisation of the cards, stamps last_kernel_time and compares estimates with what NVML shows.
//
// Exists only in processes that launched under a limit; all signals blocked; sleeps on a futex
// while nothing is launched. Touch() may be called by any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace hami::limiter::core {

class Helper {
 public:
  static Helper& Own();

  // A launch under a limit: starts the thread, or wakes it.
  void Touch() {
    if (state_.load(std::memory_order_relaxed) != kAwake) Wake();
  }
  // In a forked child: the thread stayed with the parent.
  void AfterFork() { state_.store(kNone, std::memory_order_relaxed); }

 private:
  enum State : uint32_t { kNone = 0, kStarting = 1, kAwake = 2, kAsleep = 3, kFailed = 4 };

  void Wake();
  void Start();
  static void* Run(void* self);
  void Loop();

  std::atomic<uint32_t> state_{kNone};
};

}  // namespace hami::limiter::core
