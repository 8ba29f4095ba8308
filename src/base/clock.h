// Clock: the only place that asks what time it is.
//
// A service receives a Clock& and never calls the system's clocks itself, so that tests advance
// time by hand. Thread-safe.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace hami {

using WallTime = std::chrono::sys_time<std::chrono::nanoseconds>;  // UTC, may jump
using MonoTime = std::chrono::steady_clock::time_point;            // never goes back
using Duration = std::chrono::nanoseconds;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallTime Now() const = 0;
  virtual MonoTime Mono() const = 0;
};

// The machine's clocks.
Clock& SystemClock();

// Stands still until advanced.
class FakeClock final : public Clock {
 public:
  explicit FakeClock(WallTime start = WallTime(std::chrono::seconds(1'800'000'000)));
  WallTime Now() const override { return WallTime(Duration(wall_.load())); }
  MonoTime Mono() const override { return MonoTime(Duration(mono_.load())); }
  void Advance(Duration d) { wall_ += d.count(), mono_ += d.count(); }

 private:
  std::atomic<int64_t> wall_;
  std::atomic<int64_t> mono_{1'000'000'000};
};

inline int64_t UnixSeconds(WallTime t) {
  return std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count();
}

}  // namespace hami
