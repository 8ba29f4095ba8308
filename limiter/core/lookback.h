// What was launched on a card in the while that NVML's figures are about.
//
// NVML averages what it sampled after a moment that it is told, and its newest sample is up to a
// second old (by its time stamps; drivers and cards differ). So what it shows is compared with what
// was launched then, not with what was launched since: a program that had just begun, or whose k
// had just moved, would be taken for one that uses far less, or more, than it is charged. Pure;
// owned by the helper thread. Times are microseconds of the clock of NVML's stamps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "limiter/core/feedback.h"

namespace hami::limiter::core {

// Of a process on one card, since it began.
struct Totals {
  uint64_t launched_ns = 0;  // by the estimates of their time
  uint64_t learned_ns = 0;   // what better estimates have added to that since; wraps below 0
  uint64_t queued_ns = 0;    // what of it waits on the card now
  uint64_t steady_ns = 0;    // what of launched_ns was by steady estimates
  uint64_t launches = 0;
  bool waited = false;  // a launch did, since the look before

  uint64_t raw_ns() const { return launched_ns + learned_ns; }
};

class Lookback {
 public:
  // What was before says nothing: the first look, or a pause has ended.
  void Begin(uint64_t now_us, const Totals& now) {
    count_ = 0;
    from_us_ = now_us;
    Add(now_us, now);
    moved_us_ = 0;
  }
  // A look.
  void Add(uint64_t now_us, const Totals& now) {
    looks_[count_++ % kMost] = {now_us, now};
    const uint64_t oldest_us = look(kept() - 1).us;
    if (from_us_ < oldest_us) from_us_ = oldest_us;  // NVML was not asked for long
  }
  // Nothing was launched since the look before, and NVML not asked.
  void Pass(uint64_t now_us) {
    if (now_us > from_us_ + lag_us_) from_us_ = now_us - lag_us_;
  }

  // NVML is asked for what it sampled after this.
  uint64_t since_us() const { return from_us_; }
  // It was, after a look. `newest_us`: the stamp of the newest sample of anybody, 0 if it showed
  // none. Nothing: its figures are of too short a while, and are shown again next time.
  std::optional<Period> Take(uint64_t now_us, uint64_t newest_us) {
    const uint64_t to_us = EndOf(now_us, newest_us);
    if (to_us < from_us_ + kShortestUs) return std::nullopt;
    const Totals from = At(from_us_), to = At(to_us);
    Period period;
    period.elapsed_ns = (to_us - from_us_) * 1000;
    period.raw_ns = static_cast<int64_t>(to.raw_ns() - from.raw_ns());
    period.queued_ns = static_cast<int64_t>(to.queued_ns - from.queued_ns);
    period.steady_ns = static_cast<int64_t>(to.steady_ns - from.steady_ns);
    period.launches = to.launches - from.launches;
    period.waited = WaitedBetween(from_us_, to_us);
    period.settled = from_us_ + kSoonUs >= moved_us_;
    from_us_ = to_us;
    return period;
  }
  // k was moved, after a look.
  void Moved(uint64_t now_us) { moved_us_ = now_us; }

 private:
  static constexpr uint64_t kSecondUs = 1'000'000;
  static constexpr uint64_t kShortestUs = kSecondUs * 4 / 5;
  static constexpr uint64_t kSoonUs = 20'000;           // between a look and what follows from it
  static constexpr uint64_t kOldestUs = 4 * kSecondUs;  // that a sample may be
  static constexpr size_t kMost = 5;
  struct Look {
    uint64_t us;
    Totals totals;
  };

  size_t kept() const { return count_ < kMost ? count_ : kMost; }
  // 0: the latest.
  const Look& look(size_t i) const { return looks_[(count_ - 1 - i) % kMost]; }

  // Nothing shown means that nobody was busy, or that the next sample is yet to come: samples are
  // up to a second apart. A stamp of another clock says nothing: then it is taken as of now.
  uint64_t EndOf(uint64_t now_us, uint64_t newest_us) {
    if (newest_us == 0) return now_us - lag_us_ - kSecondUs;
    if (newest_us > now_us + kSecondUs || newest_us + kOldestUs < now_us) return now_us;
    const uint64_t age = newest_us < now_us ? now_us - newest_us : 0;  // it may look after us
    lag_us_ -= lag_us_ / 8;
    if (lag_us_ < age) lag_us_ = age;
    return now_us - age;
  }

  // Between two looks, as if launches were spread evenly.
  Totals At(uint64_t us) const {
    if (us >= look(0).us) return look(0).totals;
    for (size_t i = 1; i < kept(); ++i) {
      const Look &a = look(i), &b = look(i - 1);
      if (us < a.us) continue;
      const uint64_t part = us - a.us, whole = b.us - a.us;
      const auto mix = [part, whole](uint64_t x, uint64_t y) {
        const auto grown = static_cast<int64_t>(y - x);
        return x + static_cast<uint64_t>(grown * static_cast<int64_t>(part) /
                                         static_cast<int64_t>(whole));
      };
      return {mix(a.totals.launched_ns, b.totals.launched_ns),
              mix(a.totals.learned_ns, b.totals.learned_ns),
              mix(a.totals.queued_ns, b.totals.queued_ns),
              mix(a.totals.steady_ns, b.totals.steady_ns),
              mix(a.totals.launches, b.totals.launches),
              b.totals.waited};
    }
    return look(kept() - 1).totals;
  }

  bool WaitedBetween(uint64_t from_us, uint64_t to_us) const {
    for (size_t i = 0; i + 1 < kept(); ++i) {
      if (look(i).totals.waited && look(i).us > from_us && look(i + 1).us < to_us) return true;
    }
    return false;
  }

  Look looks_[kMost];
  size_t count_ = 0;
  uint64_t from_us_ = 0, moved_us_ = 0;
  uint64_t lag_us_ = 0;  // how old samples have been; forgotten over some looks
};

}  // namespace hami::limiter::core
