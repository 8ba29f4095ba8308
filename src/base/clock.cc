#include "base/clock.h"

namespace hami {
namespace {

class RealClock final : public Clock {
 public:
  WallTime Now() const override {
    return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
  }
  MonoTime Mono() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace

Clock& SystemClock() {
  static RealClock clock;
  return clock;
}

FakeClock::FakeClock(WallTime start) : wall_(start.time_since_epoch().count()) {}

}  // namespace hami
