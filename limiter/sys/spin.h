// A lock of four bytes that needs no libc: three states, spins briefly, then waits on a futex.
//
// Owner: whoever embeds it. All threads of one process; never shared between processes, never held
// across a driver call. Reset() is for the child of a fork only.
#pragma once

#include <atomic>
#include <cstdint>

#include "limiter/sys/syscall.h"

namespace hami::limiter::sys {

inline void CpuRelax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#else
  __asm__ volatile("yield");
#endif
}

class Lock {
 public:
  void Acquire() {
    uint32_t expected = kFree;
    if (state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) return;
    for (int spin = 0; spin < 64; ++spin) {
      expected = kFree;
      if (state_.load(std::memory_order_relaxed) == kFree &&
          state_.compare_exchange_strong(expected, kHeld, std::memory_order_acquire)) {
        return;
      }
      CpuRelax();
    }
    while (state_.exchange(kContended, std::memory_order_acquire) != kFree) {
      FutexWait(reinterpret_cast<const uint32_t*>(&state_), kContended);
    }
  }
  void Release() {
    if (state_.exchange(kFree, std::memory_order_release) == kContended) {
      FutexWake(reinterpret_cast<const uint32_t*>(&state_), 1);
    }
  }
  void Reset() { state_.store(kFree, std::memory_order_relaxed); }

 private:
  static constexpr uint32_t kFree = 0, kHeld = 1, kContended = 2;
  std::atomic<uint32_t> state_{kFree};
};

// The same for a few loads and stores: released by a plain store. Who waits long, because the
// holder was put to sleep, sleeps too.
class ShortLock {
 public:
  void Acquire() {
    if (held_.exchange(true, std::memory_order_acquire)) AcquireLater();
  }
  void Release() { held_.store(false, std::memory_order_release); }
  void Reset() { held_.store(false, std::memory_order_relaxed); }

 private:
  [[gnu::noinline]] void AcquireLater() {
    uint64_t spin = 1;
    do {
      while (held_.load(std::memory_order_relaxed)) {
        CpuRelax();
        if (++spin % 128 == 0) SleepNs(20'000);
      }
    } while (held_.exchange(true, std::memory_order_acquire));
  }

  std::atomic<bool> held_{false};
};

template <class AnyLock>
class Guard {
 public:
  explicit Guard(AnyLock& lock) : lock_(lock) { lock_.Acquire(); }
  ~Guard() { lock_.Release(); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  AnyLock& lock_;
};

}  // namespace hami::limiter::sys
