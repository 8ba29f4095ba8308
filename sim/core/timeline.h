// Time on the simulated cards, CLOCK_MONOTONIC nanoseconds; any thread may call.
//
// Two ways a card can share its time. First come, first served: one queue for all processes, so
// the end of a piece of work is known when it is queued. Time-sliced: each process has a queue, the
// card serves those that have work in turn, a slice at a time, and cuts kernels at the slice's end;
// nothing runs in the background: whoever looks replays what happened since the last look.
#pragma once

#include <cstdint>

#include "sim/core/ledger.h"

namespace hami::sim {

// A place in a process's queue on a card: what is queued there and before it is done once the card
// has come so far. 0: nothing was ever queued.
using WorkMark = int64_t;

struct Work {
  int64_t duration_ns = 0;
  int64_t not_before_ns = 0;
  uint64_t kernels = 1;
};

// The cards' time as this process sees it. `slice_ns` 0: first come, first served.
struct Timeline {
  Ledger& ledger;
  int64_t slice_ns = 0;

  WorkMark Queue(int card, const Work& work) const;

  // When the work up to the mark ended, or will end by what is queued now.
  int64_t DoneAt(int card, WorkMark mark) const;
  bool Done(int card, WorkMark mark) const;
  void Await(int card, WorkMark mark) const;

  // Mark of the last work that this process queued on the card.
  WorkMark Last(int card) const;

  // Brings the books of the card up to now: before anybody reads them.
  void Advance(int card) const;
};

// Busy time within [from, to), both multiples of kBucketNs, `to` not in the future and `from` at
// most kRingBuckets before it: exact.
uint64_t BusyBetween(const Ring& ring, int64_t from_ns, int64_t to_ns);

// The same for the last whole buckets of a window that ends now.
uint64_t BusyWithin(const Ring& ring, int64_t now_ns, uint64_t window_ns);

// Books busy time [from, to) of a slot: with the process, its group and the card.
void AddBusy(StateFile& file, int slot, int card, int64_t from_ns, int64_t to_ns);

void SleepUntil(int64_t monotonic_ns);

}  // namespace hami::sim
