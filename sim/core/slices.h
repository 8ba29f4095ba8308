// A time-sliced card: what Timeline does there. A mark is a position in the process's own queue, in
// nanoseconds of work. Any thread may call; the card's lock is taken inside.
#pragma once

#include "sim/core/timeline.h"

namespace hami::sim {

WorkMark QueueSliced(Ledger& ledger, int64_t slice_ns, int card, const Work& work);
bool SlicedDone(Ledger& ledger, int64_t slice_ns, int card, WorkMark mark);
int64_t SlicedDoneAt(Ledger& ledger, int64_t slice_ns, int card, WorkMark mark);
void AdvanceSliced(Ledger& ledger, int64_t slice_ns, int card);

}  // namespace hami::sim
