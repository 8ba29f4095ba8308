#include "limiter/core/governor.h"

#include "limiter/core/bucket.h"
#include "limiter/core/gate.h"
#include "limiter/core/hold.h"
#include "limiter/core/shared.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::core {
namespace {

using region::Attachment;

// In place of the region's words while the gate is closed, and of a page where there is none.
alignas(8) constinit char zeros[kWakeDistance + 8] = {};
// In place of the region's words where the library is switched off.
alignas(8) constinit int32_t always_open[kWakeDistance / 4 + 2] = {kActive};

constinit std::atomic<bool> looked{false};

constexpr uint64_t kLookAgainNs = 10'000'000;
constexpr uint64_t kHeldLookNs = 20'000'000;
constexpr uint64_t kFirstSampleNs = 100'000'000;
constexpr uint64_t kTurnNs = 100'000'000;
constexpr uint64_t kLongestTurnWaitNs = 3'000'000'000;
constexpr uint64_t kTurnLookNs = 300'000;
constexpr uint64_t kLongestGuessNs = 20'000'000;
constexpr uint64_t kPassingDebtNs = 10'000'000;  // wall time
constexpr uint64_t kLongNs = 100'000;
constexpr uint64_t kFirstNapNs = 50'000;
constexpr uint64_t kLongestNapNs = 1'000'000;

bool Suspended(Attachment& own) {
  const int slot = own.slot_index();
  if (slot < 0) return false;
  return LoadWord<int32_t>(&own.region().v1.procs[slot].status) == HAMI_V1_SUSPENDED;
}

bool HeldBack(Attachment& own) {
  const HamiRegion& region = own.region();
  if (LoadWord<int32_t>(&region.v1.recent_kernel) < 0 &&
      !MonitorLost(LoadWord<uint64_t>(&region.ext.header.monitor_heartbeat_ns),
                   sys::NowNs(CLOCK_BOOTTIME))) {
    return true;
  }
  return Suspended(own);
}

Bucket BucketOf(unsigned device) {
  return Bucket(Attachment::Own().region().ext.header.devices[device]);
}

void RaiseTo(std::atomic<uint64_t>& word, uint64_t value) {
  uint64_t seen = word.load(std::memory_order_relaxed);
  while (seen < value && !word.compare_exchange_weak(seen, value, std::memory_order_relaxed)) {
  }
}

const void* Wake(Attachment& own) { return &own.region().ext.header.limits_wake; }

}  // namespace

constinit Gate hami_gate{{zeros}, {zeros}, {kActive}, {zeros}};

constinit Governor Governor::own_;

// The limits are read after the counters of changes: a change in between closes the gate again.
void UpdateGate() {
  Attachment& own = Attachment::Own();
  const HamiLimitsPage* limits = own.limits().page();
  const char* page =
      limits == nullptr ? zeros : reinterpret_cast<const char*>(&limits->generation) - 4;
  const auto* words = reinterpret_cast<const char*>(&own.region().v1.recent_kernel);
  const uint64_t sum = GateSum(words, page);
  const uint64_t expected = (sum & ~uint64_t{UINT32_MAX}) |
                            static_cast<uint32_t>(sum + kActive - LoadWord<uint32_t>(words));
  if (hami_gate.expected.load(std::memory_order_relaxed) == expected &&
      looked.load(std::memory_order_relaxed) && hami_gate.words.load() == zeros) {
    return;  // limited, as before
  }
  std::atomic_thread_fence(std::memory_order_acquire);
  const bool suspended = Suspended(own);
  bool limited = false;
  for (unsigned d = 0; d < HAMI_EXT_DEVICES; ++d) limited |= own.limits().CorePercent(d) < 100;
  hami_gate.page.store(page, std::memory_order_relaxed);
  hami_gate.expected.store(expected, std::memory_order_relaxed);
  hami_gate.words.store(suspended || limited ? zeros : words, std::memory_order_release);
  hami_gate.limited.store(!suspended && limited ? words : zeros, std::memory_order_release);
  looked.store(true, std::memory_order_relaxed);
}

void LeaveGateOpen() {
  hami_gate.words.store(reinterpret_cast<const char*>(always_open), std::memory_order_release);
}

void Governor::Pass() {
  Attachment& own = Attachment::Own();
  HamiV1Region& v1 = own.region().v1;
  while (HeldBack(own)) {
    const int32_t recent = LoadWord<int32_t>(&v1.recent_kernel);
    if (recent < 0) {
      sys::FutexWaitShared(&v1.recent_kernel, static_cast<uint32_t>(recent), kHeldLookNs);
    } else {
      sys::FutexWaitShared(Wake(own), LoadWord<uint32_t>(Wake(own)), kHeldLookNs);
    }
  }
  if (LoadWord<int32_t>(&v1.recent_kernel) == kActive) return;
  MarkActive(v1.recent_kernel);
  StampLaunch();
}

// Under no limit this is the only stamp there is: at the first launch and after each of the
// monitor's ticks.
void StampLaunch() {
  Attachment& own = Attachment::Own();
  const uint64_t now = sys::NowNs(CLOCK_REALTIME) / 1'000'000'000;
  std::atomic_ref word(own.region().v1.last_kernel_time);
  const uint64_t last = word.load(std::memory_order_relaxed);
  if (now < last || now - last >= own.settings().record_interval_s) {
    word.store(now, std::memory_order_relaxed);
  }
}

// Whether the limit holds now. One that begins to hold, or is lowered, finds no credit.
bool Governor::Engaged(unsigned device, uint32_t percent) {
  Attachment& own = Attachment::Own();
  const uint32_t policy = own.limits().CorePolicy();
  const bool engaged =
      percent < 100 && policy != HAMI_POLICY_DISABLE &&
      (policy == HAMI_POLICY_FORCE || LoadWord<int32_t>(&own.region().v1.utilization_switch) != 0);
  const uint32_t now = engaged ? percent : 0;
  const uint32_t before = in_force_[device].load(std::memory_order_relaxed);
  if (now == before) return engaged;
  in_force_[device].store(now, std::memory_order_relaxed);
  if (engaged && (before == 0 || percent < before)) {
    Bucket bucket = BucketOf(device);
    bucket.Refill(sys::NowNs(CLOCK_MONOTONIC), percent);
    bucket.Lower(0);
  }
  return engaged;
}

int64_t Governor::CreditNs(unsigned device) const {
  const int64_t ms = credit_ms_[device].load(std::memory_order_relaxed);
  return ms == 0 ? Bucket::kCreditNs : ms * 1'000'000;
}

void Governor::Price(Charge& charge) const {
  charge.estimate_ns = charge.function->estimate_ns();
  uint64_t ns = charge.estimate_ns;
  if (ns == 0) {
    // One that others wait for in vain is long.
    const uint64_t least =
        charge.in_vain_ns < kLongestGuessNs ? charge.in_vain_ns : kLongestGuessNs;
    const uint64_t guess = functions_.guess_ns();
    ns = guess < least ? least : guess;
  }
  charge.busy_ns = Corrected(charge.device, ns);
}

// Of a function without samples one launch goes on at a guess, and the others wait for its sample.
void Governor::BeginGuess(Charge& charge, uint64_t context) {
  Function& function = *charge.function;
  if (function.estimate_ns() != 0) return;
  charge.first = function.TakeGuess();
  if (charge.first || !function.worth_waiting()) return;
  AwaitFirstSample(charge, context);
  Pass();  // the monitor may have spoken meanwhile
}

// The processes of a container measure functions for the first time one after the other: queued
// behind one another on the card, each would take the others' kernels for its own. Whoever dies in
// his turn holds the others up until it ends.
bool Governor::HasTurn(const Charge& charge, uint64_t began_ns) {
  if (!charge.first || !charge.guessed()) return true;
  HamiExtDevice& words = Attachment::Own().region().ext.header.devices[charge.device];
  std::atomic_ref turn(words.core_turn_ns);
  std::atomic<uint64_t>& own = turn_ns_[charge.device];
  const uint64_t now = sys::NowNs(CLOCK_MONOTONIC);
  uint64_t seen = turn.load(std::memory_order_relaxed);
  const bool taken = seen > now && seen - now <= kTurnNs;
  if (taken) {
    return seen == own.load(std::memory_order_relaxed) || now - began_ns > kLongestTurnWaitNs;
  }
  if (!turn.compare_exchange_strong(seen, now + kTurnNs, std::memory_order_relaxed)) return false;
  own.store(now + kTurnNs, std::memory_order_relaxed);
  return true;
}

void Governor::EndTurn(unsigned device) {
  uint64_t own = turn_ns_[device].exchange(0, std::memory_order_relaxed);
  if (own == 0) return;
  HamiExtDevice& words = Attachment::Own().region().ext.header.devices[device];
  std::atomic_ref(words.core_turn_ns).compare_exchange_strong(own, 0, std::memory_order_relaxed);
}

Charge Governor::Admit(unsigned device, uint32_t percent, Function& function, uint64_t context) {
  Charge charge{.function = &function, .device = device};
  // What has been measured meanwhile is asked for where it costs little beside the launch.
  const uint64_t known = function.estimate_ns();
  if ((known == 0 || known >= kLongNs) && sampler_.AnyPending()) Harvest(context);
  BeginGuess(charge, context);
  Price(charge);
  const uint64_t began = charge.first ? sys::NowNs(CLOCK_MONOTONIC) : 0;
  Attachment& own = Attachment::Own();
  HamiExtDevice& words = own.region().ext.header.devices[device];
  for (uint32_t changes = LoadWord<uint32_t>(Wake(own));;
       percent = own.limits().CorePercent(device)) {
    if (!Engaged(device, percent)) return charge;
    Bucket bucket(words, CreditNs(device));
    const auto spend = [&] {
      return bucket.tokens() > 0 && HasTurn(charge, began) && bucket.TrySpend(charge.cost());
    };
    if (spend()) break;  // no clock is read while there are tokens
    const uint64_t now = sys::NowNs(CLOCK_MONOTONIC);
    bucket.Refill(now, percent);
    if (spend()) break;
    if (!charge.waited && function.IsCompanion(now)) {
      charge.companion = true;
      bucket.Spend(charge.cost());
      break;
    }
    if (sampler_.AnyPending()) Harvest(context);
    charge.waited = true;
    waited_[device].store(true, std::memory_order_relaxed);
    uint64_t wait = bucket.tokens() > 0 ? kTurnLookNs : bucket.WaitNs(percent);
    if (wait > kLookAgainNs) wait = kLookAgainNs;
    sys::FutexWaitShared(Wake(own), changes, wait);
    Pass();
    Price(charge);
    changes = LoadWord<uint32_t>(Wake(own));  // before the limit is read again
  }
  charge.tokens = charge.cost();
  return charge;
}

// Ends when there is one, when there will be none, or when the launch that was to give it has been
// refused: then this one is the first.
void Governor::AwaitFirstSample(Charge& charge, uint64_t context) {
  Function& function = *charge.function;
  const uint64_t end = sys::NowNs(CLOCK_MONOTONIC) + kFirstSampleNs;
  uint64_t nap = kFirstNapNs;
  while (true) {
    Harvest(context);
    if (function.estimate_ns() != 0 || (charge.first = function.TakeGuess())) return;
    if (sys::NowNs(CLOCK_MONOTONIC) >= end) break;
    sys::SleepNs(nap);
    nap = nap * 2 < kLongestNapNs ? nap * 2 : kLongestNapNs;
  }
  charge.in_vain_ns = kFirstSampleNs;
  function.WaitedInVain();
}

void Governor::Ran(const Charge& charge) {
  if (charge.guessed()) {
    charge.function->Guessed(charge.busy_ns);
  } else {
    functions_.Ran(charge.busy_ns);
  }
  Book(charge.device, charge.busy_ns, 1);
  Count(charge, charge.raw_ns());
}

void Governor::Count(const Charge& charge, uint64_t raw_ns) {
  launched_ns_[charge.device].fetch_add(raw_ns, std::memory_order_relaxed);
  if (!charge.function->steady()) return;
  steady_ns_[charge.device].fetch_add(raw_ns, std::memory_order_relaxed);
}

// Not while time is scarce: others wait for it.
void Governor::Prepay(const Charge& charge, Prepaid& prepaid) {
  if (charge.guessed() || charge.waited) return prepaid.Scarce();
  if (charge.device != prepaid.device()) {
    const unsigned left_card = prepaid.device();
    const uint32_t left_ns = prepaid.MoveTo(charge.device);
    Buy(left_card, -static_cast<int64_t>(left_ns), prepaid.TakeLaunches());
    launched_ns_[left_card].fetch_sub(Raw(left_card, left_ns), std::memory_order_relaxed);
  }
  const uint32_t wanted = prepaid.Wanted(charge.busy_ns);
  if (wanted == 0) return;
  Bucket bucket = BucketOf(charge.device);
  if (charge.tokens != 0 && bucket.tokens() <= wanted) return prepaid.Scarce();
  Buy(charge.device, wanted, prepaid.TakeLaunches());
  Count(charge, Raw(charge.device, wanted));
  prepaid.Bought(wanted);
}

// Time that launches are going to use, or (negative) will not.
void Governor::Buy(unsigned device, int64_t ns, uint32_t launches) {
  if (in_force_[device].load(std::memory_order_relaxed) != 0) {
    BucketOf(device).Spend(ns);
  }
  Book(device, static_cast<uint64_t>(ns), launches);
}

void Governor::Book(unsigned device, uint64_t busy_ns, uint32_t launches) {
  Attachment& own = Attachment::Own();
  const int slot = own.slot_index();
  if (slot < 0) return;
  HamiExtSlotDevice& mine = own.region().ext.slots[slot].device[device];
  std::atomic_ref(mine.busy_ns).fetch_add(busy_ns, std::memory_order_relaxed);
  std::atomic_ref(mine.launches).fetch_add(launches, std::memory_order_relaxed);
}

void Governor::Refund(const Charge& charge) {
  if (charge.first) {
    charge.function->DropGuess();
    EndTurn(charge.device);
  }
  if (charge.tokens == 0) return;
  BucketOf(charge.device).Spend(-charge.tokens);
}

Sampled Governor::SampleOf(const Charge& charge, uint64_t key) const {
  const uint64_t before = launched_ns_[charge.device].load(std::memory_order_relaxed);
  return {charge.function, charge.device, key, before + charge.raw_ns()};
}

uint64_t Governor::queued_ns(unsigned device) const {
  const auto ns = static_cast<int64_t>(launched_ns_[device].load(std::memory_order_relaxed) -
                                       finished_ns_[device].load(std::memory_order_relaxed));
  return sampler_.AnyPending() && ns > 0 ? static_cast<uint64_t>(ns) : 0;
}

void Governor::Harvest(uint64_t context) {
  sampler_.Harvest(context, [this](const Sampled& what, uint64_t ns) { Take(what, ns); });
}

// What launches of the last seconds took less than they were charged is given back: others' work
// may have lengthened every sample before, and this one is the whole of a long launch's share.
void Governor::Take(const Sampled& what, uint64_t ns) {
  const unsigned device = what.device;
  RaiseTo(finished_ns_[device], what.position_ns);
  if (ns == 0) return;
  const uint32_t k = correction(device);
  const uint64_t now = sys::NowNs(CLOCK_MONOTONIC);
  const bool confirmed = confirmed_[device].load(std::memory_order_relaxed);
  const Shortest shared =
      SharedEstimates::Of(Attachment::Own().region()).Exchange(what.key, ns, now, confirmed);
  const bool doubts = doubts_siblings_[device].load(std::memory_order_relaxed);
  const Function::Learned learned =
      what.function->Learn(ns, now, confirmed, doubts ? Shortest() : shared);
  const uint64_t before = learned.before_ns, after = learned.after_ns;
  if (before == 0) EndTurn(device);
  learned_ns_[device].fetch_add(
      static_cast<uint64_t>(learned.missing_ns) - (before - after) * learned.overcharged,
      std::memory_order_relaxed);
  Shorter(device, learned);
  const uint32_t percent = in_force_[device].load(std::memory_order_relaxed);
  const uint64_t was = before * k >> 16, is = Corrected(device, after);
  if (learned.overcharged != 0 && was > is) {
    const uint64_t excess = (was - is) * learned.overcharged;
    Book(device, -excess, 0);
    if (percent != 0) BucketOf(device).GiveBack(static_cast<int64_t>(excess), percent);
  }
  if (learned.missing_ns != 0 && percent != 0) BucketOf(device).Spend(learned.missing_ns);
}

// A correction below 1 made up for estimates that others' work had lengthened. Where a better
// sample does that itself, both together would let the program exceed its limit. k stands for all
// functions of the process: it rises by this one's part of what they took in the last seconds.
void Governor::Shorter(unsigned device, const Function::Learned& learned) {
  const uint32_t k = correction(device);
  uint64_t before = learned.before_ns, after = learned.after_ns;
  if (after >= before || k >= kOne) return;
  const int64_t recent = recent_base_ns_[device].load(std::memory_order_relaxed) +
                         static_cast<int64_t>(raw_ns(device));
  if (recent > 0) {
    const uint64_t shorter = (before - after) * learned.overcharged;
    after = static_cast<uint64_t>(recent);
    before = after + shorter;
  }
  for (; before >> 47 != 0; before >>= 1) after >>= 1;
  const uint64_t raised = after == 0 ? kOne : k * before / after;
  Correct(device, k, static_cast<uint32_t>(raised < kOne ? raised : kOne));
}

uint64_t Governor::Debt(unsigned device, uint32_t percent) {
  const int64_t least = -static_cast<int64_t>(kPassingDebtNs * percent / 100);
  const int64_t tokens = BucketOf(device).tokens();
  return tokens < least ? static_cast<uint64_t>(least - tokens) : 0;
}

void Governor::GiveBack(unsigned device, uint64_t ns) {
  const uint32_t percent = in_force_[device].load(std::memory_order_relaxed);
  if (ns == 0 || percent == 0) return;
  Book(device, -ns, 0);
  BucketOf(device).GiveBack(static_cast<int64_t>(ns), percent);
}

void Governor::AfterFork() {
  sampler_.AfterFork();
  for (std::atomic<uint64_t>& turn : turn_ns_) turn.store(0, std::memory_order_relaxed);
}

void Governor::ForgetContext(uint64_t context) { sampler_.ForgetContext(context); }

}  // namespace hami::limiter::core
