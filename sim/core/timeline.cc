#include "sim/core/timeline.h"

#include <ctime>

#include "sim/core/ledger.h"

namespace hami::sim {
namespace {

void AddBusy(Ring& ring, int64_t from_ns, int64_t to_ns) {
  constexpr auto kBucket = static_cast<int64_t>(kBucketNs);
  if (to_ns - from_ns > kBucket * kRingBuckets) from_ns = to_ns - kBucket * kRingBuckets;
  while (from_ns < to_ns) {
    const int64_t number = from_ns / kBucket;
    const int64_t end = (number + 1) * kBucket < to_ns ? (number + 1) * kBucket : to_ns;
    std::atomic<uint64_t>& bucket = ring.buckets[number % kRingBuckets];
    const uint64_t tag = static_cast<uint64_t>(number & 0xffffffff) << 32;
    uint64_t old = bucket.load(std::memory_order_relaxed);
    uint64_t value = 0;
    do {
      const uint64_t before = (old & ~0xffffffffull) == tag ? old & 0xffffffff : 0;
      value = tag | (before + static_cast<uint64_t>(end - from_ns));
    } while (!bucket.compare_exchange_weak(old, value, std::memory_order_relaxed));
    from_ns = end;
  }
}

}  // namespace

WorkMark QueueWork(StateFile& file, int slot, int card, const Work& work) {
  std::atomic<int64_t>& busy_until = file.cards[card].busy_until_ns;
  const int64_t now = NowMonotonicNs();
  const int64_t earliest = now > work.not_before_ns ? now : work.not_before_ns;
  int64_t old = busy_until.load(std::memory_order_relaxed);
  int64_t start = 0;
  do {
    start = old > earliest ? old : earliest;
  } while (!busy_until.compare_exchange_weak(old, start + work.duration_ns));
  const int64_t end = start + work.duration_ns;
  Ring& ring = file.rings[slot][card];
  const uint32_t bit = 1u << card;
  if ((file.slots[slot].rings.load(std::memory_order_relaxed) & bit) == 0) {
    file.slots[slot].rings.fetch_or(bit);
  }
  AddBusy(ring, start, end);
  ring.busy_total_ns.fetch_add(static_cast<uint64_t>(work.duration_ns), std::memory_order_relaxed);
  ring.launches.fetch_add(work.kernels, std::memory_order_relaxed);
  int64_t last = ring.last_done_ns.load(std::memory_order_relaxed);
  while (last < end && !ring.last_done_ns.compare_exchange_weak(last, end)) {
  }
  return end;
}

// First come, first served: a mark is the time of its end.
int64_t WorkDoneAt(StateFile&, int, int, WorkMark mark) { return mark; }

bool WorkDone(StateFile& file, int slot, int card, WorkMark mark) {
  return mark == 0 || NowMonotonicNs() >= WorkDoneAt(file, slot, card, mark);
}

void AwaitWork(StateFile&, int, int, WorkMark mark) { SleepUntil(mark); }

WorkMark LastWork(StateFile& file, int slot, int card) {
  return file.rings[slot][card].last_done_ns.load(std::memory_order_relaxed);
}

uint64_t BusyWithin(const StateFile& file, int slot, int card, int64_t now_ns, uint64_t window_ns) {
  if ((file.slots[slot].rings.load(std::memory_order_relaxed) >> card & 1) == 0) return 0;
  constexpr auto kBucket = static_cast<int64_t>(kBucketNs);
  const int64_t last = now_ns / kBucket;  // still running: not counted
  const int64_t first = last - static_cast<int64_t>(window_ns) / kBucket;
  uint64_t busy = 0;
  for (int64_t number = first; number < last; ++number) {
    const uint64_t value =
        file.rings[slot][card].buckets[number % kRingBuckets].load(std::memory_order_relaxed);
    if (value >> 32 == static_cast<uint64_t>(number & 0xffffffff)) busy += value & 0xffffffff;
  }
  return busy;
}

void SleepUntil(int64_t monotonic_ns) {
  for (;;) {
    const int64_t left = monotonic_ns - NowMonotonicNs();
    if (left <= 0) return;
    struct timespec pause = {static_cast<time_t>(left / 1'000'000'000),
                             static_cast<long>(left % 1'000'000'000)};
    nanosleep(&pause, nullptr);
  }
}

}  // namespace hami::sim
