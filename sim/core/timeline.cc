#include "sim/core/timeline.h"

#include <ctime>

#include "sim/core/slices.h"

namespace hami::sim {
namespace {

constexpr auto kBucket = static_cast<int64_t>(kBucketNs);

void AddTo(Ring& ring, int64_t from_ns, int64_t to_ns) {
  ring.busy_total_ns.fetch_add(static_cast<uint64_t>(to_ns - from_ns), std::memory_order_relaxed);
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

// First come, first served: a mark is the time of its end.
WorkMark QueueBehindAll(StateFile& file, int slot, int card, const Work& work) {
  std::atomic<int64_t>& busy_until = file.cards[card].busy_until_ns;
  const int64_t now = NowMonotonicNs();
  const int64_t earliest = now > work.not_before_ns ? now : work.not_before_ns;
  int64_t old = busy_until.load(std::memory_order_relaxed);
  int64_t start = 0;
  do {
    start = old > earliest ? old : earliest;
  } while (!busy_until.compare_exchange_weak(old, start + work.duration_ns));
  const int64_t end = start + work.duration_ns;
  AddBusy(file, slot, card, start, end);
  std::atomic<int64_t>& newest = file.rings[slot][card].last_done_ns;
  int64_t last = newest.load(std::memory_order_relaxed);
  while (last < end && !newest.compare_exchange_weak(last, end)) {
  }
  return end;
}

}  // namespace

void AddBusy(StateFile& file, int slot, int card, int64_t from_ns, int64_t to_ns) {
  AddTo(file.rings[slot][card], from_ns, to_ns);
  AddTo(file.group_rings[file.slots[slot].group][card], from_ns, to_ns);
  AddTo(file.card_rings[card], from_ns, to_ns);
}

WorkMark Timeline::Queue(int card, const Work& work) const {
  StateFile& file = *ledger.file();
  const int slot = ledger.slot();
  std::atomic<uint32_t>& rings = file.slots[slot].rings;
  const uint32_t bit = 1u << card;
  if ((rings.load(std::memory_order_relaxed) & bit) == 0) rings.fetch_or(bit);
  for (Ring* ring : {&file.rings[slot][card], &file.group_rings[file.slots[slot].group][card],
                     &file.card_rings[card]}) {
    ring->launches.fetch_add(work.kernels, std::memory_order_relaxed);
  }
  return slice_ns == 0 ? QueueBehindAll(file, slot, card, work)
                       : QueueSliced(ledger, slice_ns, card, work);
}

int64_t Timeline::DoneAt(int card, WorkMark mark) const {
  return slice_ns == 0 || mark == 0 ? mark : SlicedDoneAt(ledger, slice_ns, card, mark);
}

bool Timeline::Done(int card, WorkMark mark) const {
  if (mark == 0) return true;
  return slice_ns == 0 ? NowMonotonicNs() >= mark : SlicedDone(ledger, slice_ns, card, mark);
}

void Timeline::Await(int card, WorkMark mark) const {
  if (slice_ns == 0) {
    SleepUntil(mark);
    return;
  }
  constexpr int64_t kLook = 5'000'000;  // others may come, and go, meanwhile
  while (!Done(card, mark)) {
    const int64_t done = DoneAt(card, mark);
    const int64_t look = NowMonotonicNs() + kLook;
    SleepUntil(done < look ? done : look);
  }
}

WorkMark Timeline::Last(int card) const {
  const StateFile& file = *ledger.file();
  const int slot = ledger.slot();
  return slice_ns == 0 ? file.rings[slot][card].last_done_ns.load(std::memory_order_relaxed)
                       : file.sliced[card].queued_ns[slot].load();
}

void Timeline::Advance(int card) const {
  if (slice_ns != 0 && ledger.may_write()) AdvanceSliced(ledger, slice_ns, card);
}

uint64_t BusyBetween(const Ring& ring, int64_t from_ns, int64_t to_ns) {
  uint64_t busy = 0;
  for (int64_t number = from_ns / kBucket; number < to_ns / kBucket; ++number) {
    const uint64_t value = ring.buckets[number % kRingBuckets].load(std::memory_order_relaxed);
    if (value >> 32 == static_cast<uint64_t>(number & 0xffffffff)) busy += value & 0xffffffff;
  }
  return busy;
}

uint64_t BusyWithin(const Ring& ring, int64_t now_ns, uint64_t window_ns) {
  const int64_t to = now_ns / kBucket * kBucket;  // what still runs is not counted
  return BusyBetween(ring, to - static_cast<int64_t>(window_ns) / kBucket * kBucket, to);
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
