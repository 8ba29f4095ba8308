// Time on the simulated cards: a card runs one kernel after the other, first come, first served.
// All times are CLOCK_MONOTONIC nanoseconds. State lives in the state file; any thread may call.
#pragma once

#include <cstdint>

#include "sim/core/state_layout.h"

namespace hami::sim {

// Queues work of duration_ns that may not start before not_before_ns; returns when it ends.
int64_t QueueWork(StateFile& file, int slot, int card, int64_t duration_ns, int64_t not_before_ns);

// Busy time of one process on one card within [now - window, now].
uint64_t BusyWithin(const StateFile& file, int slot, int card, int64_t now_ns, uint64_t window_ns);

void SleepUntil(int64_t monotonic_ns);

}  // namespace hami::sim
