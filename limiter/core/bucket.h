// The core limit's bucket: device time that the container may use now, shared by its processes.
//
// Pure arithmetic on two words of the region (docs/formats/region.md, The core limit); time comes
// in as an argument. Any thread, any process; no lock. Killed anywhere, it leaves too few tokens at
// most, never too many.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/region.h"

namespace hami::limiter::core {

class Bucket {
 public:
  // How much wall time an idle container is credited for: covers late wake-ups. Feedback allows
  // more while it has to.
  static constexpr int64_t kCreditNs = 100'000'000;
  // The deepest debt, in device time: bounds what a wrong estimate can cost.
  static constexpr int64_t kDebtNs = 20'000'000'000;
  static constexpr uint64_t kRefillEveryNs = 20'000;
  // An empty bucket is waited for until it holds this much wall time again: fewer wake-ups.
  static constexpr uint64_t kQuantumNs = 2'000'000;

  explicit Bucket(HamiExtDevice& device, int64_t credit_ns = kCreditNs)
      : tokens_(device.core_tokens), refilled_(device.core_refill_ns), credit_ns_(credit_ns) {}

  int64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }

  // Takes `cost` if anything is there. Threads that see the same tokens all go on and share the
  // debt.
  bool TrySpend(int64_t cost) {
    if (tokens() <= 0) return false;
    Spend(cost);
    return true;
  }
  void Spend(int64_t cost) {
    const int64_t before = tokens_.fetch_sub(cost, std::memory_order_relaxed);
    if (before - cost < -kDebtNs) Raise(-kDebtNs);
  }

  // Gives back what was charged too much, though not more than a full bucket of it.
  void GiveBack(int64_t ns, uint32_t percent) { Fill(ns, percent); }

  // Adds what has come in since the last refill.
  void Refill(uint64_t now_ns, uint32_t percent) {
    uint64_t last = refilled_.load(std::memory_order_relaxed);
    if (last != 0 && last <= now_ns && now_ns - last < kRefillEveryNs) return;
    if (!refilled_.compare_exchange_strong(last, now_ns, std::memory_order_relaxed)) return;
    if (last == 0 || last > now_ns) return;  // a new file, or one from before a reboot
    const uint64_t elapsed = now_ns - last < kLongestNs ? now_ns - last : kLongestNs;
    const auto income = static_cast<int64_t>(elapsed * percent / 100);
    Fill(income, percent);
  }

  // Until the bucket holds a quantum again.
  uint64_t WaitNs(uint32_t percent) const {
    const int64_t left = tokens();
    const uint64_t debt = left < 0 ? static_cast<uint64_t>(-left) : 0;
    return debt * 100 / percent + kQuantumNs;
  }

  // Takes credit away beyond `most`: a limit was lowered, or begins to hold.
  void Lower(int64_t most) {
    int64_t seen = tokens();
    while (seen > most && !tokens_.compare_exchange_weak(seen, most, std::memory_order_relaxed)) {
    }
  }

 private:
  static constexpr uint64_t kLongestNs = 4'000'000'000'000;  // keeps the product below 2^63

  void Fill(int64_t ns, uint32_t percent) {
    const int64_t most = credit_ns_ * percent / 100;
    int64_t seen = tokens();
    int64_t full = 0;
    do {
      full = seen + ns;
      if (full > most) full = seen > most ? seen : most;
    } while (!tokens_.compare_exchange_weak(seen, full, std::memory_order_relaxed));
  }

  void Raise(int64_t least) {
    int64_t seen = tokens();
    while (seen < least && !tokens_.compare_exchange_weak(seen, least, std::memory_order_relaxed)) {
    }
  }

  std::atomic_ref<int64_t> tokens_;
  std::atomic_ref<uint64_t> refilled_;
  int64_t credit_ns_;
};

}  // namespace hami::limiter::core
