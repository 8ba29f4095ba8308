// The correction k of a process's estimates on one card: what NVML shows that the process used,
// against what it was charged. Pure; owned by the helper thread.
//
// Both are averaged over some seconds, because NVML gives whole percents of about one second. k
// goes half of the way each time, all of it when the two are far apart, and none while they agree
// within half a point.
#pragma once

#include <cstdint>

namespace hami::limiter::core {

class Feedback {
 public:
  static constexpr uint32_t kOne = 65536;
  static constexpr uint32_t kLeast = kOne / 32, kMost = kOne * 8;

  // One period: percent that NVML showed, what was charged, and by which k (the last one returned,
  // unless a better sample has changed it since). `launch_ns` is what one launch was charged: NVML
  // may count it in a period and the charge in the next one. Returns k in 1/65536.
  uint32_t Add(uint32_t k, uint32_t measured_percent, uint64_t charged_ns, uint64_t elapsed_ns,
               uint64_t launch_ns = 0) {
    if (elapsed_ns < 1'000'000) return k;
    if (k != k_) Restart();
    k_ = k;
    measured_ = Aged(measured_) + uint64_t{measured_percent} * 1'000'000;
    raw_ = Aged(raw_) + charged_ns * kOne / k * 100 / (elapsed_ns / 1'000'000);
    weight_ = Aged(weight_) + 1'000'000;
    if (weight_ < kEnough || raw_ == 0) return k;
    const uint64_t charged = raw_ * k / kOne;
    // A percent shown is half a point more or less. k is lowered to the edge of that only: many
    // processes that are each half a point above their part are together far above the limit.
    const uint64_t half = weight_ / 2;
    const uint64_t launch = launch_ns * 100 / (elapsed_ns / 1'000'000);
    const uint64_t noise = launch < kMostNoise ? launch : kMostNoise;
    uint64_t wanted = 0, apart = 0;
    if (charged > measured_ + half + noise) {
      apart = charged - measured_;
      wanted = (measured_ + half + noise) * kOne / raw_;
    } else if (measured_ > charged + (k < kOne ? half / 2 : half) + noise) {
      apart = measured_ - charged;
      wanted = (measured_ - noise) * kOne / raw_;
    } else {
      return k;
    }
    wanted = wanted < kLeast ? kLeast : wanted > kMost ? kMost : wanted;
    k_ = static_cast<uint32_t>(apart > kFar * weight_ ? wanted : (k + wanted) / 2);
    return k_;
  }
  // What ran is no longer what was averaged.
  void Restart() { measured_ = raw_ = weight_ = 0; }

 private:
  static constexpr uint64_t kEnough = 1'500'000;  // two periods
  static constexpr uint64_t kFar = 4;             // points
  static constexpr uint64_t kMostNoise = 5'000'000;
  static uint64_t Aged(uint64_t sum) { return sum - sum / 4; }

  uint32_t k_ = kOne;
  uint64_t measured_ = 0, raw_ = 0, weight_ = 0;  // percent and periods, in millionths
};

}  // namespace hami::limiter::core
