// The correction k of a process's estimates on one card: what NVML shows that the process used,
// against what it was charged. Pure; owned by the helper thread.
//
// Both are averaged over some seconds, because NVML gives whole percents of about one second. k
// goes half of the way each time, all of it when the two are far apart, none while they agree
// within half a point, and back to 1 when the estimates by themselves do. Estimates that several
// samples have met are believed where NVML is not far off, and the container's sum neither. k is
// lowered after one period, raised after two: the first launches are charged at a guess.
//
// What was launched may wait on the card behind others' work: it is charged in one second and used
// in a later one. k is lowered only by what that does not explain, and so is it raised; it is back
// at 1 as soon as both together can be right.
//
// What half a point hides in each of many processes shows in their sum. While that is off the
// container's limit, k follows what NVML shows of the process, and is moved by what the sum is off:
// up as far as 1 if it is above, a little further if it is far above (what was queued while k was
// too low still runs), down a little below what the process shows if it is below. Where a single
// launch is more than a point, the process's own percent says too little for k to go back to 1.
//
// A program that queues work and waits for it loses what its container is given meanwhile, beyond
// the bucket's credit. Beside a busy neighbour that is more than an idle container may keep: while
// the sum stays below the limit though launches wait, the credit grows.
//
// NVML may be late. A period that began before k was moved says what it would have to be, but its
// sum is not that of the k in force, and is left alone.
//
// What was charged too much in the last seconds is given back as well, as far as the container owes
// it: the first samples of long kernels, lengthened by others, would else stop it for long.
#pragma once

#include <algorithm>
#include <cstdint>

#include "limiter/core/bucket.h"

namespace hami::limiter::core {

// What a process did on one card in a while.
struct Period {
  uint64_t elapsed_ns = 0;
  int64_t raw_ns = 0;     // that its launches took by their estimates, without k; negative: less
                          // than was thought before
  int64_t queued_ns = 0;  // that more of it waits on the card than before; negative: less
  int64_t steady_ns = 0;  // of that: by estimates that several samples have met
  uint64_t launches = 0;
  bool waited = false;      // a launch did
  int missing_percent = 0;  // that NVML shows the container below its limit while launches waited
  unsigned limit_percent = 0;
  unsigned members = 0;  // processes of the container; 0: no launch waited
  uint64_t debt_ns = 0;  // device time that the container owes, and may be forgiven
  bool settled = true;   // k has been the same since it began
};

class Feedback {
 public:
  static constexpr uint32_t kOne = 65536;
  static constexpr uint32_t kLeast = kOne / 128, kMost = kOne * 8;

  static constexpr uint32_t kLeastCredit = Bucket::kCreditNs / 1'000'000, kMostCredit = 200;

  struct Correction {
    uint32_t k = kOne;                  // in 1/65536
    uint64_t give_back_ns = 0;          // that was charged too much, of the debt
    uint32_t credit_ms = kLeastCredit;  // wall time that a container without launches keeps
  };

  // One period, the percent that NVML showed in it, and the k that was in force.
  Correction Add(uint32_t k, uint32_t measured_percent, const Period& period) {
    if (!Average(k, measured_percent, period)) return {k, 0, credit_ms_};  // nothing is known
    const uint64_t elapsed_ms = period.elapsed_ns / 1'000'000;
    const uint64_t excess = TakeExcess(period.debt_ns * 100 / elapsed_ms);
    MoveCredit();
    if (HasTwoPeriods()) MoveTrust();
    return {FollowSum(k, Next(k), period), excess * elapsed_ms / 100, credit_ms_};
  }
  // What ran is no longer what was averaged.
  void Restart() {
    const unsigned doubts = doubts_;
    *this = Feedback();
    doubts_ = doubts;
  }
  // Whether what the container's other processes saw of the same kernels may hold for this one: not
  // for minutes after it used a quarter more than its estimates say. Their work may be unlike.
  bool trusts_siblings() const { return doubts_ == 0; }
  // Whether the estimates are not too short: NVML shows no more than they say, by what can be told.
  bool confirms() const { return HasTwoPeriods() && measured_ <= raw_ + weight_ / 2 + noise_; }
  // Nothing has been averaged yet.
  bool fresh() const { return weight_ == 0; }

 private:
  static constexpr int64_t kFar = 4;  // points
  static constexpr uint64_t kPoint = 1'000'000, kMostNoise = 5 * kPoint;
  static constexpr int kMostMissing = 15;  // points: the first seconds are not remembered for long
  static constexpr uint32_t kCreditStep = 50;
  static constexpr unsigned kDoubts = 300;        // periods
  static constexpr uint64_t kPeriod = 1'000'000;  // what one adds to weight_
  static uint64_t Aged(uint64_t sum) { return sum - sum / 4; }

  uint32_t Next(uint32_t k) const {
    const bool below = ContainerIsBelow(), above = ContainerIsAbove();
    const uint64_t least = Least(), half = HalfPoint();
    const uint64_t band = below ? least : half + noise_;
    const uint64_t raise = above ? least : (k < kOne ? half / 2 : half) + noise_;
    const uint64_t raw_least = RawLeast(), raw_most = std::max(raw_, ran_);
    // The estimates may have been wrong for a while only: as soon as they can be right, they are
    // taken as they are.
    if (raw_least <= measured_ + band && measured_ <= raw_most + (above ? least : half + noise_)) {
      return kOne;
    }
    const uint64_t charged_least = raw_least * k / kOne, charged_most = raw_most * k / kOne;
    if (charged_least > measured_ + band) {
      const uint64_t apart = charged_least - measured_;
      const uint64_t wanted = (measured_ + band) * kOne / raw_least;
      return Towards(k, wanted, below || apart > charged_least / 2, apart);
    }
    if (measured_ > charged_most + raise && HasTwoPeriods()) {
      const uint64_t apart = measured_ - charged_most;
      const uint64_t wanted = (measured_ - (above ? 0 : noise_)) * kOne / raw_most;
      return Towards(k, wanted, above || apart > charged_most / 2, apart);
    }
    return k;
  }

  uint64_t RawLeast() const { return std::min(raw_, ran_); }

  // `sure`: all of the way at once.
  uint32_t Towards(uint32_t k, uint64_t wanted, bool sure, uint64_t apart) const {
    if (BelievesSteady() && IsNear(wanted) && wanted <= kOne * 3 / 2) return kOne;
    wanted = std::clamp<uint64_t>(wanted, kLeast, kMost);
    const bool at_once = sure || apart > uint64_t{kFar} * weight_;
    return static_cast<uint32_t>(at_once ? wanted : (k + wanted) / 2);
  }

  // `next` is what this process alone makes of k.
  uint32_t FollowSum(uint32_t k, uint32_t next, const Period& period) {
    const auto limit = static_cast<int64_t>(period.limit_percent * weight_);
    const auto weight = static_cast<int64_t>(weight_);
    if (period.members == 0 || limit == 0 || !period.settled) return next;
    const bool many = period.members > 1;
    if (many && !BelievesSteady() && noise_ >= kPoint && next == kOne && k < kOne) next = k;
    const int64_t shown = limit - missing_;
    if (ContainerIsAbove()) {
      if (!HasTwoPeriods()) return next;
      const int64_t most = -missing_ > kFar * weight ? kOne * 17 / 16 : kOne;
      const int64_t raised = std::min(k * shown / limit, most);
      return raised <= next ? next : static_cast<uint32_t>(raised);
    }
    const bool far = period.missing_percent > kFar;
    if (!many || missing_ <= weight || (next < k && !far) || (steady_ && IsNear(next))) return next;
    const auto own = static_cast<int64_t>(measured_ * kOne / RawLeast() * 19 / 20);
    const int64_t now = far ? period.missing_percent * weight : 0;
    const int64_t off = std::max(missing_, now) - weight / 2, from = std::max(next, k);
    const int64_t least = IsFarBelow() ? int64_t{next} / 2 : int64_t{next} * 17 / 20;
    const int64_t lowered =
        std::max({from - from * (off * 7 / 10) / limit, least, own, int64_t{kLeast}});
    if (lowered >= next) return next;
    missing_ -= (next - lowered) * shown / next;
    return static_cast<uint32_t>(lowered);
  }

  bool HasTwoPeriods() const { return weight_ > kPeriod; }
  bool IsFarBelow() const { return missing_ > kFar * static_cast<int64_t>(weight_); }
  // Each member's percent is rounded by half a point: a sum that is off by more is not steady's
  // doing.
  bool BelievesSteady() const {
    const auto weight = static_cast<int64_t>(weight_);
    return steady_ && missing_ <= std::clamp<int64_t>(members_ / 2, 1, kFar) * weight;
  }
  // Not so low that the estimates must be wrong, however many samples have met them.
  static bool IsNear(uint64_t k) { return k >= kOne * 2 / 3; }

  void MoveTrust() {
    if (doubts_ > 0) {
      --doubts_;
    } else if (measured_ > raw_ + raw_ / 4 + weight_ / 2 + noise_) {
      doubts_ = kDoubts;
    }
  }

  void MoveCredit() {
    if (missing_ > static_cast<int64_t>(weight_)) credit_ms_ += kCreditStep;
    if (ContainerIsAbove()) credit_ms_ -= kCreditStep;
    credit_ms_ = std::clamp(credit_ms_, kLeastCredit, kMostCredit);
  }

  // What was charged beyond what NVML shows, as far as it can be told; `most` at the utmost.
  uint64_t TakeExcess(uint64_t most) {
    const auto right = static_cast<int64_t>(measured_ + weight_ / 2 + noise_);
    if (charged_ <= right) return 0;
    const auto excess = static_cast<uint64_t>(charged_ - right);
    const uint64_t taken = excess < most ? excess : most;
    charged_ -= static_cast<int64_t>(taken);
    return taken;
  }

  // False: too little is known.
  bool Average(uint32_t k, uint32_t measured_percent, const Period& period) {
    const auto elapsed_ms = static_cast<int64_t>(period.elapsed_ns / 1'000'000);
    if (elapsed_ms == 0) return false;
    measured_ = Aged(measured_) + uint64_t{measured_percent} * 1'000'000;
    const int64_t missing =
        int64_t{1'000'000} * std::clamp(period.missing_percent, -kMostMissing, kMostMissing);
    if (period.settled) missing_ += missing - missing_ / 4;
    if (period.members != 0) members_ = period.members;
    const int64_t now = period.raw_ns * 100 / elapsed_ms;
    const int64_t raw = static_cast<int64_t>(Aged(raw_)) + now;
    const int64_t ran_now = now - period.queued_ns * 100 / elapsed_ms;
    charged_ += ran_now * int64_t{k} / int64_t{kOne} - charged_ / 4;
    steady_ = now > 0 && period.steady_ns * 10 >= period.raw_ns * 9;
    const int64_t before = weight_ == 0 ? now : last_raw_;
    swing_ = Aged(swing_) + static_cast<uint64_t>(now > before ? now - before : before - now);
    last_raw_ = now;
    weight_ = Aged(weight_) + kPeriod;
    launches_ = Aged(launches_) + period.launches * 1024;
    // A launch may be counted in a period by NVML and charged in the next one.
    const uint64_t launch =
        now <= 0 || period.launches == 0 ? 0 : static_cast<uint64_t>(now) / period.launches;
    noise_ = launch < kMostNoise ? launch : kMostNoise;
    // Taken back more than is left of it here: the average begins anew.
    if (raw <= 0) return Restart(), false;
    raw_ = static_cast<uint64_t>(raw);
    ran_ = static_cast<uint64_t>(std::max<int64_t>(static_cast<int64_t>(Aged(ran_)) + ran_now, 1));
    return true;
  }

  // A percent shown is half a point more or less. k is lowered to the edge of that only: many
  // processes that are each half a point above their part are together far above the limit. What
  // swings by more than that from period to period is rounded up as often as down.
  uint64_t HalfPoint() const { return swing_ > weight_ ? weight_ / 8 : weight_ / 2; }

  // Sums err less than their parts, whose errors go both ways. Above the limit it counts sooner.
  bool ContainerIsBelow() const { return missing_ > static_cast<int64_t>(weight_ / 2); }
  bool ContainerIsAbove() const { return -missing_ > static_cast<int64_t>(weight_ / 4); }
  // What the rounding of several periods leaves, and a launch as long as NVML shows it. Where
  // nothing at all was shown, half a point of one period may have been there.
  uint64_t Least() const {
    if (measured_ == 0) return 500'000;
    return 150'000 + (launches_ == 0 ? 0 : measured_ * 1024 / launches_);
  }

  // Percent and periods, in millionths. ran_ and charged_ are without what still waits on the card.
  uint64_t measured_ = 0, raw_ = 0, ran_ = 0, swing_ = 0, weight_ = 0;
  uint64_t noise_ = 0, launches_ = 0;  // of a launch; in 1/1024
  int64_t last_raw_ = 0, missing_ = 0, charged_ = 0;
  uint32_t credit_ms_ = kLeastCredit;
  unsigned members_ = 1;
  unsigned doubts_ = 0;  // periods for which siblings are not trusted
  bool steady_ = false;  // what was launched in the last period was charged by steady estimates
};

}  // namespace hami::limiter::core
