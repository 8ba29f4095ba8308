// Time on the simulated cards: a card runs one kernel after the other, first come, first served.
// All times are CLOCK_MONOTONIC nanoseconds. State lives in the state file; any thread may call.
#pragma once

#include <cstdint>

#include "sim/core/state_layout.h"

namespace hami::sim {

// A place in a process's queue on a card: what is queued there and before it is done once the card
// has come so far. 0: nothing was ever queued.
using WorkMark = int64_t;

struct Work {
  int64_t duration_ns = 0;
  int64_t not_before_ns = 0;
  uint64_t kernels = 1;
};

WorkMark QueueWork(StateFile& file, int slot, int card, const Work& work);

// When the work up to the mark ended, or will end by what is queued now.
int64_t WorkDoneAt(StateFile& file, int slot, int card, WorkMark mark);
bool WorkDone(StateFile& file, int slot, int card, WorkMark mark);
void AwaitWork(StateFile& file, int slot, int card, WorkMark mark);

// Mark of the last work that the process queued on the card.
WorkMark LastWork(StateFile& file, int slot, int card);

// Busy time of one process on one card within [now - window, now].
uint64_t BusyWithin(const StateFile& file, int slot, int card, int64_t now_ns, uint64_t window_ns);

void SleepUntil(int64_t monotonic_ns);

}  // namespace hami::sim
