// RateLimiter: a token bucket. A value; the caller brings the time. One thread.
#pragma once

#include <algorithm>
#include <chrono>

#include "base/clock.h"

namespace hami::kube {

class RateLimiter {
 public:
  // qps <= 0: no limit.
  RateLimiter(double qps, int burst, MonoTime now)
      : qps_(qps), burst_(std::max(burst, 1)), tokens_(burst_), at_(now) {}

  bool TryTake(MonoTime now) {
    if (qps_ <= 0) return true;
    Refill(now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  // When the next TryTake can succeed.
  MonoTime NextAt(MonoTime now) {
    if (qps_ <= 0) return now;
    Refill(now);
    if (tokens_ >= 1) return now;
    auto wait = std::chrono::duration<double>((1 - tokens_) / qps_);
    return now + std::chrono::ceil<Duration>(wait);
  }

 private:
  void Refill(MonoTime now) {
    double passed = std::chrono::duration<double>(now - at_).count();
    tokens_ = std::min<double>(burst_, tokens_ + passed * qps_);
    at_ = now;
  }
  double qps_;
  int burst_;
  double tokens_;
  MonoTime at_;
};

}  // namespace hami::kube
