#include "limiter/region/slots.h"

#include "limiter/region/lock.h"

namespace hami::limiter::region {

void Slots::Bind(HamiRegion* region, int lock_fd, const Identity& self) {
  region_ = region;
  lock_fd_ = lock_fd;
  self_ = self;
}

// The bytes of the slots, as one process locks them.
struct Slots::Locks {
  const Slots& slots;
  uint64_t boot_ns;

  bool TryLock(int index) const {
    return slots.lock_fd_ < 0 || TryLockRange(slots.lock_fd_, ByteOf(index), 1);
  }
  void Unlock(int index) const {
    if (slots.lock_fd_ >= 0) UnlockRange(slots.lock_fd_, ByteOf(index), 1);
  }
  bool IsDead(HamiExtSlot& slot) const { return slots.IsDead(slot, boot_ns); }
  static uint64_t ByteOf(int index) { return HAMI_LOCK_SLOTS + static_cast<uint64_t>(index); }
};

unsigned Slots::Count() const { return Account<>::SlotCount(*region_); }

int Slots::Claim() {
  Locks locks{*this, 0};
  for (int attempt = 0; attempt < 2; ++attempt) {
    // A slot that only the prefix knows belongs to a reference's process: taken last.
    for (const bool foreign_too : {false, true}) {
      for (int i = 0; i < HAMI_EXT_SLOTS; ++i) {
        if (!foreign_too && std::atomic_ref(region_->v1.procs[i].pid).load() != 0) continue;
        if (TakeSlot<NoStep>(*region_, i, self_, locks)) return i;
      }
    }
    if (attempt == 0 && Reap(-1, sys::NowNs(CLOCK_BOOTTIME)) == 0) break;
  }
  return -1;
}

bool Slots::IsDead(HamiExtSlot& slot, uint64_t boot_ns) const {
  const uint32_t state = Account<>::LoadState(slot);
  // A claimer cannot lose its lock before it is done, and a reaper had established the death.
  if (state == HAMI_SLOT_CLAIMING || state == HAMI_SLOT_REAPING) return true;
  const Identity owner = OwnerOf(slot);
  // This process's own, but not its slot: from before an exec, which closed the lock and the card.
  if (owner == self_ && self_.start_ticks != 0) return true;
  switch (LifeOf(owner, self_)) {
    case Life::kDead:
      return true;
    case Life::kAlive:
      return false;
    case Life::kUnknown:
      break;
  }
  const uint64_t first_seen = Account<>::Load(slot.free_seen_ns);
  if (first_seen == 0) {
    Account<>::Store(slot.free_seen_ns, boot_ns);
    return false;
  }
  return boot_ns >= first_seen + kUnknownGraceNs;
}

unsigned Slots::Reap(int own, uint64_t boot_ns) {
  if (lock_fd_ < 0) return 0;
  const sys::Guard guard(turn_);
  Locks locks{*this, boot_ns};
  unsigned reaped = 0;
  const unsigned count = Count();
  for (unsigned i = 0; i < count; ++i) {
    const int index = static_cast<int>(i);
    if (index != own && ReapSlot<NoStep>(*region_, index, locks)) ++reaped;
  }
  return reaped;
}

uint64_t Slots::BytesNotAlive(int own, unsigned device, bool known_dead) const {
  uint64_t sum = 0;
  const unsigned count = Count();
  for (unsigned i = 0; i < count; ++i) {
    HamiExtSlot& slot = region_->ext.slots[i];
    if (static_cast<int>(i) == own || Account<>::LoadState(slot) != HAMI_SLOT_LIVE) continue;
    const uint64_t bytes = Account<>::SlotSum(slot, device).bytes;
    if (bytes == 0) continue;
    const bool counts = known_dead ? LifeOf(OwnerOf(slot), self_) == Life::kDead
                                   : Account<>::Load(slot.free_seen_ns) != 0;
    if (counts) sum += bytes;
  }
  return sum;
}

}  // namespace hami::limiter::region
