// The core limit of this process: holds launches back, charges them, learns what they take.
//
//   a launch that the thread has paid for (prepaid.h) goes to the driver at once; else
//   governor.Pass();                              // every kind of launch, limited or not
//   Charge charge = governor.Admit(device, ...);  // waits for device time
//   ... driver call, with events around it if charge.sample ...
//   governor.Ran(charge), governor.Prepay(charge, prepaid), or governor.Refund(charge)
//
// One per process, all zeros when new. Any thread; nothing is held across a driver call. Waiting
// ends at once when limits change (futex limits_wake) and is looked at again every 10 ms for
// writers that wake nobody.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/region.h"
#include "limiter/core/estimate.h"
#include "limiter/core/prepaid.h"
#include "limiter/core/sampler.h"
#include "limiter/region/attachment.h"

namespace hami::limiter::core {

struct Charge {
  Function* function = nullptr;  // nullptr: no limit on this card, nothing to book
  unsigned device = 0;
  int64_t tokens = 0;  // taken from the bucket; 0: the limit does not hold now
  uint64_t busy_ns = 0;
  uint64_t estimate_ns = 0;  // that it was charged by; 0: at a guess
  uint64_t in_vain_ns = 0;   // that it waited for a first sample
  bool first = false;        // goes on at a guess, so that there is a first sample
  bool waited = false;
  bool companion = false;  // went on at once behind one that waited

  int64_t cost() const { return static_cast<int64_t>(busy_ns); }
  bool guessed() const { return estimate_ns == 0; }
  uint64_t raw_ns() const { return guessed() ? busy_ns : estimate_ns; }
};

class Governor {
 public:
  static Governor& Own() { return own_; }

  // Waits while launches are held back, then marks the container as active.
  void Pass();

  // `percent`: the card's limit as the caller has just read it, below 100.
  Charge Admit(unsigned device, uint32_t percent, Function& function, uint64_t context);
  void Ran(const Charge& charge);
  void Refund(const Charge& charge);
  // Behind a launch that ran: pays for the thread's next ones, if time is plenty.
  void Prepay(const Charge& charge, Prepaid& prepaid);

  // What a sample of a launch that goes on now is of.
  Sampled SampleOf(const Charge& charge, uint64_t key) const;
  // Takes in what has been measured meanwhile.
  void Harvest(uint64_t context);

  Functions& functions() { return functions_; }
  Sampler& sampler() { return sampler_; }

  // Correction of estimates on a card, in 1/65536.
  uint32_t correction(unsigned device) const {
    const uint32_t k = correction_[device].load(std::memory_order_relaxed);
    return k == 0 ? kOne : k;
  }
  // Moves it from `seen`; not if it has changed meanwhile.
  void Correct(unsigned device, uint32_t seen, uint32_t k) {
    if (correction_[device].load(std::memory_order_relaxed) == 0) seen = 0;
    correction_[device].compare_exchange_strong(seen, k, std::memory_order_relaxed);
  }
  // Nanoseconds that the launches so far take on a card by what is known of them now, without the
  // correction. Differences of it mean something, and can be negative.
  uint64_t raw_ns(unsigned device) const { return launched_ns(device) + learned_ns(device); }
  // Its parts: by the estimates of their time, and what samples since then changed of it.
  uint64_t launched_ns(unsigned device) const {
    return launched_ns_[device].load(std::memory_order_relaxed);
  }
  uint64_t learned_ns(unsigned device) const {
    return learned_ns_[device].load(std::memory_order_relaxed);
  }
  // What of them the card has not finished, as far as samples tell: none is under way, nothing.
  uint64_t queued_ns(unsigned device) const;
  // What had been launched when the latest finished sample was: still the same, none has finished.
  uint64_t finished_ns(unsigned device) const {
    return finished_ns_[device].load(std::memory_order_relaxed);
  }
  // raw_ns() + ns is what was launched in the last seconds, older ones counting less.
  void SetRecentBase(unsigned device, int64_t ns) {
    recent_base_ns_[device].store(ns, std::memory_order_relaxed);
  }
  // The part of it by estimates that several samples have met.
  uint64_t steady_ns(unsigned device) const {
    return steady_ns_[device].load(std::memory_order_relaxed);
  }
  uint64_t Corrected(unsigned device, uint64_t ns) const { return ns * correction(device) >> 16; }

  // Wall time that the container keeps of what came in while it launched nothing.
  void SetCredit(unsigned device, uint32_t ms) {
    credit_ms_[device].store(ms, std::memory_order_relaxed);
  }

  // Whether a launch waited for time on a card since the last call.
  bool TakeWaited(unsigned device) {
    return waited_[device].exchange(false, std::memory_order_relaxed);
  }
  // Whether NVML shows that the estimates on a card are not too short.
  void Confirm(unsigned device, bool confirmed) {
    confirmed_[device].store(confirmed, std::memory_order_relaxed);
  }

  // Whether the estimates of the container's other processes do not hold for this one.
  void DoubtSiblings(unsigned device, bool doubts) {
    doubts_siblings_[device].store(doubts, std::memory_order_relaxed);
  }

  // Device time that the container owes on a card, beyond what is owed in passing.
  static uint64_t Debt(unsigned device, uint32_t percent);
  // What the launches of this process were charged too much.
  void GiveBack(unsigned device, uint64_t ns);

  // A context is gone, or will be.
  void ForgetContext(uint64_t context);
  void AfterFork();

 private:
  static constexpr uint32_t kOne = 65536;

  int64_t CreditNs(unsigned device) const;
  void BeginGuess(Charge& charge, uint64_t context);
  void Price(Charge& charge) const;
  bool HasTurn(const Charge& charge, uint64_t began_ns);
  void EndTurn(unsigned device);
  void Take(const Sampled& what, uint64_t ns);
  void Shorter(unsigned device, const Function::Learned& learned);
  bool Engaged(unsigned device, uint32_t percent);
  void Count(const Charge& charge, uint64_t raw_ns);
  // Without the correction.
  uint64_t Raw(unsigned device, uint64_t ns) const { return ns * kOne / correction(device); }
  void Buy(unsigned device, int64_t ns, uint32_t launches);
  static void Book(unsigned device, uint64_t busy_ns, uint32_t launches);
  void AwaitFirstSample(Charge& charge, uint64_t context);

  static Governor own_;

  Functions functions_;
  Sampler sampler_;
  std::atomic<uint32_t> correction_[HAMI_EXT_DEVICES];   // 0 stands for 1
  std::atomic<uint64_t> launched_ns_[HAMI_EXT_DEVICES];  // by the estimates at the launch
  std::atomic<uint64_t> learned_ns_[HAMI_EXT_DEVICES];   // what samples since then changed of it
  std::atomic<uint64_t> finished_ns_[HAMI_EXT_DEVICES];  // launched_ns_ of a launch that has run
  std::atomic<int64_t> recent_base_ns_[HAMI_EXT_DEVICES];
  std::atomic<uint64_t> steady_ns_[HAMI_EXT_DEVICES];
  std::atomic<uint64_t> turn_ns_[HAMI_EXT_DEVICES];    // when this process's turn ends; 0: not its
  std::atomic<uint32_t> credit_ms_[HAMI_EXT_DEVICES];  // 0: as the bucket has it
  std::atomic<bool> confirmed_[HAMI_EXT_DEVICES];
  std::atomic<bool> doubts_siblings_[HAMI_EXT_DEVICES];
  std::atomic<bool> waited_[HAMI_EXT_DEVICES];
  std::atomic<uint32_t> in_force_[HAMI_EXT_DEVICES];  // percent of the last launch, 0 = none held
};

// Writes last_kernel_time, unless it was written within the interval asked for.
void StampLaunch();

}  // namespace hami::limiter::core
