#include "limiter/core/helper.h"

#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>

#include <utility>

#include "limiter/core/feedback.h"
#include "limiter/core/governor.h"
#include "limiter/core/lookback.h"
#include "limiter/hook/tables.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"
#include "limiter/region/roster.h"
#include "limiter/sys/log.h"
#include "limiter/sys/syscall.h"

extern "C" {
extern void* __dso_handle;
int __cxa_atexit(void (*function)(void*), void* argument, void* dso);
}

namespace hami::limiter::core {
namespace {

using region::Attachment;

constinit Helper own_helper;

constexpr uint64_t kPeriodNs = 1'000'000'000;
constexpr size_t kStackBytes = 128 << 10;
constexpr int kIdlePeriods = 3;
constexpr uint32_t kPidCheckPeriods = 30;
constexpr int kExitNaps = 100;
constexpr uint64_t kExitNapNs = 1'000'000;

// A look at the cards.
struct Moment {
  uint64_t elapsed_ns;  // since the look before
  uint64_t wall_us;     // of the clock of NVML's stamps
  bool begins_anew;     // what was seen before says nothing now
};

class Clock {
 public:
  Moment Begin() {
    last_ns_ = sys::NowNs(CLOCK_MONOTONIC);
    wall_us_ = sys::NowNs(CLOCK_REALTIME) / 1000;
    return {0, wall_us_, true};
  }
  // After somebody set the wall clock, or long after the last look, it is as after a pause.
  Moment Next() {
    const uint64_t last_ns = last_ns_, wall_us = wall_us_;
    Begin();
    const auto elapsed = static_cast<int64_t>(last_ns_ - last_ns);
    const int64_t apart = static_cast<int64_t>(wall_us_ - wall_us) * 1000 - elapsed;
    const bool was_set = apart > kMostApartNs || apart < -kMostApartNs;
    return {static_cast<uint64_t>(elapsed), wall_us_, was_set || elapsed > kLongestNs};
  }

 private:
  static constexpr int64_t kMostApartNs = 200'000'000, kLongestNs = 10'000'000'000;
  uint64_t last_ns_ = 0, wall_us_ = 0;
};

// What is known of one card between two looks.
struct Card {
  uint64_t busy_ns = 0;
  Totals totals;
  uint64_t finished_ns = 0;
  bool pid_is_ours = false;
  uint32_t periods_checked = 0;
  int64_t recent_ns = 0;        // that was launched: a quarter of it is forgotten at each look
  bool was_shown_none = false;  // NVML did not list this process at the last look
  Feedback feedback;
  Lookback lookback;
  nvml::Processes known;  // that NVML lists, as of the last check of our pid

  void Look(const Moment& now, const Totals& is) {
    const auto raw_ns = static_cast<int64_t>(is.raw_ns() - totals.raw_ns());
    recent_ns += raw_ns - recent_ns / 4;
    totals = is;
    if (!now.begins_anew) return lookback.Add(now.wall_us, is);
    recent_ns = 0;
    was_shown_none = false;
    feedback.Restart();
    lookback.Begin(now.wall_us, is);
  }
};

uint64_t Relaxed(uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

// The number by which NVML may know this process.
uint32_t PidForNvml(Attachment& own) {
  const auto host = std::atomic_ref(own.slot().host_pid).load();
  return static_cast<uint32_t>(host > 0 ? host : sys::GetPid());
}

// A pid means something in one namespace only: it is ours if it holds about the memory that we
// have booked.
bool PidIsOurs(Attachment& own, unsigned device, const nvml::Processes& known) {
  uint64_t booked = 0;
  for (uint64_t& bytes : own.slot().device[device].bytes) {
    booked += Relaxed(bytes);
  }
  const uint64_t shown = known.BytesOf(PidForNvml(own));
  const uint64_t apart = shown > booked ? shown - booked : booked - shown;
  return shown != 0 && apart <= (uint64_t{64} << 20) + booked / 8;
}

// What the container's processes used together, and how many they are: by NVML, or for one that it
// does not know, by the process's own account.
struct Together {
  unsigned percent = 0, members = 0;
};

Together UsedTogether(Attachment& own, unsigned device, const nvml::Utilization& shown,
                      const nvml::Processes& known) {
  Together all;
  region::ForEachMember(own.region(), own.self(), device, [&](const region::Member& member) {
    const uint32_t pid = member.host_pid != 0 ? member.host_pid : member.pid;
    const unsigned otherwise = known.BytesOf(pid) != 0 ? 0 : member.sm_percent;
    all.percent += shown.Of(pid).value_or(otherwise);
    ++all.members;
  });
  return all;
}

// What NVML shows of this process: nothing is 0, unless what was launched may not have been reached
// by the card yet, or NVML may not have looked since the process began.
std::optional<unsigned> OwnPercent(Attachment& own, const nvml::Utilization& shown, Card& card) {
  const auto percent = shown.Of(PidForNvml(own));
  const bool again = std::exchange(card.was_shown_none, !percent);
  if (percent || Governor::Own().sampler().AnyPending()) return percent;
  if (card.feedback.fresh() && !again) return std::nullopt;
  return 0;
}

bool KnowsPid(Attachment& own, unsigned device, Card& card) {
  if (card.periods_checked++ % kPidCheckPeriods == 0) {
    card.known = nvml::ProcessesOn(device).value_or(nvml::Processes());
    card.pid_is_ours = PidIsOurs(own, device, card.known);
  }
  return card.pid_is_ours;
}

// Compares what was charged on a card with what NVML shows of the same while.
void Compare(Attachment& own, unsigned device, Card& card, uint64_t now_us) {
  Governor& governor = Governor::Own();
  if (!KnowsPid(own, device, card)) return governor.Confirm(device, false);
  const auto shown = nvml::UtilizationOn(device, card.lookback.since_us());
  auto period = shown ? card.lookback.Take(now_us, shown->newest_us()) : std::nullopt;
  if (shown && !period) return;
  governor.Confirm(device, false);
  const auto own_percent = shown ? OwnPercent(own, *shown, card) : std::nullopt;
  if (!own_percent) return card.feedback.Restart();
  const uint32_t percent = own.limits().CorePercent(device);
  if (period->waited) {
    const Together all = UsedTogether(own, device, *shown, card.known);
    period->missing_percent = static_cast<int>(percent) - static_cast<int>(all.percent);
    period->members = all.members;
  }
  period->limit_percent = percent;
  period->debt_ns = Governor::Debt(device, percent);
  const uint32_t k = governor.correction(device);
  const Feedback::Correction correction = card.feedback.Add(k, *own_percent, *period);
  if (correction.k != k) card.lookback.Moved(now_us);
  governor.Correct(device, k, correction.k);
  governor.SetCredit(device, correction.credit_ms);
  governor.GiveBack(device, correction.give_back_ns);
  governor.Confirm(device, card.feedback.confirms());
  governor.DoubtSiblings(device, !card.feedback.trusts_siblings());
}

Totals TotalsOf(unsigned device, uint64_t launches, Card& card) {
  Governor& governor = Governor::Own();
  const uint64_t finished_ns = governor.finished_ns(device);
  // While no sample ends, as behind a kernel that waits for the program, nothing is known of it.
  const bool stands = finished_ns == card.finished_ns && governor.sampler().AnyPending();
  card.finished_ns = finished_ns;
  return {.launched_ns = governor.launched_ns(device),
          .learned_ns = governor.learned_ns(device),
          .queued_ns = stands ? card.totals.queued_ns : governor.queued_ns(device),
          .steady_ns = governor.steady_ns(device),
          .launches = launches,
          .waited = governor.TakeWaited(device)};
}

// Percent of a card's time since the last look, without what was given back.
uint64_t BusyPercent(Card& card, uint64_t busy_ns, uint64_t elapsed_ns) {
  const auto grown = static_cast<int64_t>(busy_ns - std::exchange(card.busy_ns, busy_ns));
  if (grown <= 0 || elapsed_ns == 0) return 0;
  const uint64_t percent = (static_cast<uint64_t>(grown) * 100 + elapsed_ns / 2) / elapsed_ns;
  return percent < 100 ? percent : 100;
}

// Publishes utilisation; true: something was launched since the last look, or wanted to.
bool Publish(Card (&cards)[HAMI_EXT_DEVICES], const Moment& now, bool nvml_is_open) {
  Attachment& own = Attachment::Own();
  if (own.slot_index() < 0) return false;
  Governor& governor = Governor::Own();
  bool active = false;
  for (unsigned d = 0; d < HAMI_EXT_DEVICES; ++d) {
    HamiExtSlotDevice& words = own.slot().device[d];
    Card& card = cards[d];
    const uint64_t percent = BusyPercent(card, Relaxed(words.busy_ns), now.elapsed_ns);
    std::atomic_ref(own.region().v1.procs[own.slot_index()].device_util[d].sm_util)
        .store(percent, std::memory_order_relaxed);
    const uint64_t launches = card.totals.launches;
    card.Look(now, TotalsOf(d, Relaxed(words.launches), card));
    governor.SetRecentBase(d, card.recent_ns - static_cast<int64_t>(card.totals.raw_ns()));
    if (card.totals.launches == launches && !card.totals.waited) {
      governor.SetCredit(d, 0);
      card.lookback.Pass(now.wall_us);
      continue;
    }
    active = true;
    if (!now.begins_anew && nvml_is_open) Compare(own, d, card, now.wall_us);
  }
  return active;
}

}  // namespace

Helper& Helper::Own() { return own_helper; }

void Helper::Wake() {
  uint32_t seen = state_.load(std::memory_order_relaxed);
  if (seen == kAsleep) {
    if (state_.compare_exchange_strong(seen, kAwake)) {
      sys::FutexWake(reinterpret_cast<const uint32_t*>(&state_), 1);
    }
  } else if (seen == kNone && state_.compare_exchange_strong(seen, kStarting)) {
    Start();
  }
}

// All signals are blocked around the creation, so that the thread never runs a handler of the
// program, and never is where a signal of the process arrives.
void Helper::Start() {
  // But for the two that glibc talks to its threads with: setuid() would wait for ever.
  constexpr uint64_t kOfGlibc = uint64_t{1} << 31 | uint64_t{1} << 32;
  uint64_t all = ~kOfGlibc;
  uint64_t before = 0;
  const long size = sizeof all;
  sys::Syscall(SYS_rt_sigprocmask, SIG_SETMASK, sys::Word(&all), sys::Word(&before), size);
  pthread_attr_t attributes;
  pthread_t thread;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  // A program with much static thread storage needs a larger stack: the default one then.
  const bool started = pthread_create(&thread, &attributes, &Run, this) == 0 ||
                       (pthread_attr_setstacksize(&attributes, 8 << 20) == 0 &&
                        pthread_create(&thread, &attributes, &Run, this) == 0);
  pthread_attr_destroy(&attributes);
  sys::Syscall(SYS_rt_sigprocmask, SIG_SETMASK, sys::Word(&before), 0, size);
  if (started) return;
  state_.store(kFailed);
  HAMI_LIMITER_LOG(kWarn, text.Add("no thread for the core limit's figures: they stay 0"));
}

void* Helper::Run(void* self) {
  sys::Syscall(SYS_prctl, PR_SET_NAME, sys::Word("hami-core"));
  static_cast<Helper*>(self)->Loop();
  return nullptr;
}

// NVML takes itself down while the process exits: not under a call of ours.
void Helper::AtExit(void* self) {
  auto& helper = *static_cast<Helper*>(self);
  helper.leaving_.store(true);
  for (int i = 0; i < kExitNaps && helper.in_driver_.load(); ++i) sys::SleepNs(kExitNapNs);
}

void Helper::Loop() {
  static constinit Card cards[HAMI_EXT_DEVICES];
  const hook::Inside inside;  // what NVML calls back into is not the program
  const bool nvml_is_open = nvml::StayOpen();
  __cxa_atexit(&AtExit, this, __dso_handle);  // after NVML's own, so it runs before
  state_.store(kAwake);
  Clock clock;
  int idle = 0;
  Publish(cards, clock.Begin(), false);
  while (true) {
    sys::SleepNs(kPeriodNs);
    in_driver_.store(true);
    const bool active = Publish(cards, clock.Next(), nvml_is_open && !leaving_.load());
    in_driver_.store(false);
    if (active) StampLaunch();
    idle = active ? 0 : idle + 1;
    if (idle < kIdlePeriods) continue;
    // Touch() may have come between the look and this: the next launch wakes the thread again.
    state_.store(kAsleep);
    while (state_.load() == kAsleep) {
      sys::FutexWait(reinterpret_cast<const uint32_t*>(&state_), kAsleep);
    }
    idle = 0;
    Publish(cards, clock.Begin(), false);
  }
}

}  // namespace hami::limiter::core
