#include "sim/core/slices.h"

#include <cstring>

namespace hami::sim {
namespace {

constexpr int64_t kForever = int64_t{1} << 62;

// Served time by slot, as far as slots were ever used.
void CopySchedule(const Schedule& from, int slots, Schedule& to) {
  to.clock_ns = from.clock_ns;
  to.slice_left_ns = from.slice_left_ns;
  to.segments = from.segments;
  to.turn = from.turn;
  memcpy(to.served_ns, from.served_ns, static_cast<size_t>(slots) * sizeof(int64_t));
}

class Replay {
 public:
  Replay(StateFile& file, int card, int64_t slice_ns, Schedule& schedule)
      : file_(file),
        card_(card),
        slots_(file.slots_high.load(std::memory_order_acquire)),
        slice_ns_(slice_ns),
        schedule_(schedule) {}

  // Lets the card work until the time comes, or until `slot` has had `enough`.
  template <class OnSegment>
  void Run(int64_t until_ns, int slot, int64_t enough, OnSegment on_segment) {
    while (schedule_.clock_ns < until_ns && schedule_.served_ns[slot] < enough) {
      if (schedule_.slice_left_ns <= 0 || Pending(schedule_.turn) == 0) {
        if (!NextTurn()) {
          schedule_.clock_ns = until_ns;
          return;
        }
      }
      int64_t run = Pending(schedule_.turn);
      if (schedule_.slice_left_ns < run) run = schedule_.slice_left_ns;
      if (until_ns - schedule_.clock_ns < run) run = until_ns - schedule_.clock_ns;
      on_segment(schedule_.turn, schedule_.clock_ns, run);
      schedule_.served_ns[schedule_.turn] += run;
      schedule_.clock_ns += run;
      schedule_.slice_left_ns -= run;
    }
  }

  int64_t Pending(int slot) const {
    return file_.sliced[card_].queued_ns[slot].load(std::memory_order_relaxed) -
           schedule_.served_ns[slot];
  }

  int slots() const { return slots_; }

 private:
  bool NextTurn() {
    for (int i = 1; i <= slots_; ++i) {
      const int slot = (schedule_.turn + i) % slots_;
      if (Pending(slot) == 0) continue;
      schedule_.turn = slot;
      schedule_.slice_left_ns = slice_ns_;
      return true;
    }
    return false;
  }

  StateFile& file_;
  int card_;
  int slots_;
  int64_t slice_ns_;
  Schedule& schedule_;
};

// One segment per stretch: what continues the last one makes it longer.
void Keep(SlicedCard& card, Schedule& schedule, int slot, int64_t start_ns, int64_t length_ns) {
  const int64_t position = schedule.served_ns[slot];
  if (schedule.segments != 0) {
    Segment& last = card.segments[(schedule.segments - 1) % kSegments];
    if (last.slot == slot && last.start_ns + last.length_ns == start_ns &&
        last.position + last.length_ns == position) {
      last.length_ns += length_ns;
      return;
    }
  }
  card.segments[schedule.segments % kSegments] = {start_ns, length_ns, position, slot};
  ++schedule.segments;
}

class CardLock {
 public:
  CardLock(Ledger& ledger, int card) : ledger_(ledger), card_(card) { ledger_.LockCard(card); }
  ~CardLock() { ledger_.UnlockCard(card_); }
  CardLock(const CardLock&) = delete;
  CardLock& operator=(const CardLock&) = delete;

 private:
  Ledger& ledger_;
  int card_;
};

const Schedule& Valid(const SlicedCard& card) {
  return card.copies[card.active.load(std::memory_order_acquire) & 1];
}

// What a dead process queued is not run. Asking costs a system call per slot with work: not often.
void DropTheDead(Ledger& ledger, SlicedCard& card, const Replay& replay, Schedule& schedule) {
  constexpr int64_t kSeldom = 2'000'000;
  static std::atomic<int64_t> asked_ns{0};
  const int64_t now = NowMonotonicNs();
  const bool ask = now - asked_ns.load(std::memory_order_relaxed) > kSeldom;
  if (ask) asked_ns.store(now, std::memory_order_relaxed);
  for (int slot = 0; slot < replay.slots(); ++slot) {
    if (replay.Pending(slot) == 0) continue;
    const bool owned = ledger.file()->slots[slot].used.load() != 0;
    if (owned && (!ask || ledger.IsAlive(slot))) continue;
    schedule.served_ns[slot] = card.queued_ns[slot].load();
  }
}

// The card's lock held: everything up to now has happened afterwards.
void CatchUp(Ledger& ledger, int64_t slice_ns, int index) {
  StateFile& file = *ledger.file();
  SlicedCard& card = file.sliced[index];
  const uint32_t active = card.active.load(std::memory_order_acquire) & 1;
  Schedule& next = card.copies[1 - active];
  const int64_t now = NowMonotonicNs();
  Replay replay(file, index, slice_ns, next);
  CopySchedule(card.copies[active], replay.slots(), next);
  if (next.clock_ns == 0 || next.clock_ns > now) next.clock_ns = now;  // new, or another boot
  DropTheDead(ledger, card, replay, next);
  replay.Run(now, 0, kForever, [&](int slot, int64_t start, int64_t length) {
    Keep(card, next, slot, start, length);
    AddBusy(file, slot, index, start, start + length);
  });
  card.active.store(1 - active, std::memory_order_release);
}

}  // namespace

void AdvanceSliced(Ledger& ledger, int64_t slice_ns, int card) {
  CardLock lock(ledger, card);
  CatchUp(ledger, slice_ns, card);
}

WorkMark QueueSliced(Ledger& ledger, int64_t slice_ns, int index, const Work& work) {
  SleepUntil(work.not_before_ns);  // work of another card: the program waits in the queue's place
  StateFile& file = *ledger.file();
  SlicedCard& card = file.sliced[index];
  const int slot = ledger.slot();
  CardLock lock(ledger, index);
  CatchUp(ledger, slice_ns, index);
  const uint32_t epoch = file.slots[slot].epoch.load(std::memory_order_relaxed) + 1;
  if (card.epochs[slot] != epoch) {  // whatever the slot's former owner left
    card.queued_ns[slot].store(Valid(card).served_ns[slot]);
    card.epochs[slot] = epoch;
  }
  return card.queued_ns[slot].fetch_add(work.duration_ns) + work.duration_ns;
}

bool SlicedDone(Ledger& ledger, int64_t slice_ns, int index, WorkMark mark) {
  const SlicedCard& card = ledger.file()->sliced[index];
  CardLock lock(ledger, index);
  CatchUp(ledger, slice_ns, index);
  return Valid(card).served_ns[ledger.slot()] >= mark;
}

int64_t SlicedDoneAt(Ledger& ledger, int64_t slice_ns, int index, WorkMark mark) {
  StateFile& file = *ledger.file();
  SlicedCard& card = file.sliced[index];
  const int slot = ledger.slot();
  CardLock lock(ledger, index);
  CatchUp(ledger, slice_ns, index);
  const Schedule& valid = Valid(card);
  if (valid.served_ns[slot] >= mark) {
    const uint64_t oldest = valid.segments > kSegments ? valid.segments - kSegments : 0;
    for (uint64_t i = valid.segments; i-- > oldest;) {
      const Segment& segment = card.segments[i % kSegments];
      const int64_t into = mark - segment.position;
      if (segment.slot == slot && into > 0 && into <= segment.length_ns) {
        return segment.start_ns + into;
      }
    }
    return 1;  // longer ago than is remembered
  }
  // By what is queued now. The inactive copy is free for such a calculation.
  Schedule& future = card.copies[1 - (card.active.load() & 1)];
  Replay replay(file, index, slice_ns, future);
  CopySchedule(valid, replay.slots(), future);
  replay.Run(kForever, slot, mark, [](int, int64_t, int64_t) {});
  return future.clock_ns;
}

}  // namespace hami::sim
