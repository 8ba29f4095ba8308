#include "limiter/region/slots.h"

#include "limiter/region/lock.h"

namespace hami::limiter::region {

void Slots::Bind(HamiRegion* region, int lock_fd, const Identity& self) {
  region_ = region;
  lock_fd_ = lock_fd;
  self_ = self;
}

bool Slots::LockByte(int index) {
  return lock_fd_ < 0 || TryLockRange(lock_fd_, HAMI_LOCK_SLOTS + static_cast<uint64_t>(index), 1);
}

void Slots::UnlockByte(int index) {
  if (lock_fd_ >= 0) UnlockRange(lock_fd_, HAMI_LOCK_SLOTS + static_cast<uint64_t>(index), 1);
}

unsigned Slots::Count() const { return Account<>::SlotCount(*region_); }

bool Slots::TryClaim(int index) {
  HamiExtSlot& slot = region_->ext.slots[index];
  HamiV1Slot& mirror = region_->v1.procs[index];
  if (Account<>::LoadState(slot) != HAMI_SLOT_FREE || !LockByte(index)) return false;
  uint32_t expected = HAMI_SLOT_FREE;
  if (!std::atomic_ref(slot.state).compare_exchange_strong(expected, HAMI_SLOT_CLAIMING)) {
    UnlockByte(index);
    return false;
  }
  slot.epoch += 1;
  slot.pid = self_.pid;
  slot.host_pid = HostPidOf(self_);
  slot.pidns_inode = self_.pidns_inode;
  slot.start_ticks = self_.start_ticks;
  slot.free_seen_ns = 0;
  std::atomic_ref count(region_->v1.proc_num);
  int32_t seen = count.load();
  while (seen <= index &&
         !count.compare_exchange_weak(seen, index + 1)) {  // before any reservation
  }
  mirror.seqlock = 0;
  mirror.hostpid = slot.host_pid;
  std::atomic_ref(mirror.status).store(HAMI_V1_RUNNING, std::memory_order_relaxed);
  std::atomic_ref(mirror.pid).store(self_.pid, std::memory_order_release);
  Account<>::StoreState(slot, HAMI_SLOT_LIVE);
  return true;
}

int Slots::Claim() {
  for (int attempt = 0; attempt < 2; ++attempt) {
    // A slot that only the prefix knows belongs to a reference's process: taken last.
    for (const bool foreign_too : {false, true}) {
      for (int i = 0; i < HAMI_EXT_SLOTS; ++i) {
        if (!foreign_too && std::atomic_ref(region_->v1.procs[i].pid).load() != 0) continue;
        if (TryClaim(i)) return i;
      }
    }
    if (attempt == 0 && Reap(-1, sys::NowNs(CLOCK_BOOTTIME)) == 0) break;
  }
  return -1;
}

bool Slots::IsDead(HamiExtSlot& slot, uint64_t boot_ns) {
  const uint32_t state = Account<>::LoadState(slot);
  // A claimer cannot lose its lock before it is done, and a reaper had established the death.
  if (state == HAMI_SLOT_CLAIMING || state == HAMI_SLOT_REAPING) return true;
  const Identity owner{slot.pid, slot.pidns_inode, slot.start_ticks};
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

bool Slots::ReapOne(int index, uint64_t boot_ns) {
  HamiExtSlot& slot = region_->ext.slots[index];
  if (Account<>::LoadState(slot) == HAMI_SLOT_FREE) return false;
  if (!LockByte(index)) {
    if (Account<>::Load(slot.free_seen_ns) != 0) Account<>::Store(slot.free_seen_ns, 0);
    return false;
  }
  const bool dead = Account<>::LoadState(slot) != HAMI_SLOT_FREE && IsDead(slot, boot_ns);
  if (dead) {
    ClearSlot(slot, region_->v1.procs[index]);
    std::atomic_ref(region_->ext.header.reaped).fetch_add(1, std::memory_order_relaxed);
  }
  UnlockByte(index);
  return dead;
}

unsigned Slots::Reap(int own, uint64_t boot_ns) {
  if (lock_fd_ < 0) return 0;
  const sys::Guard guard(turn_);
  unsigned reaped = 0;
  const unsigned count = Count();
  for (unsigned i = 0; i < count; ++i) {
    const int index = static_cast<int>(i);
    if (index != own && ReapOne(index, boot_ns)) ++reaped;
  }
  return reaped;
}

}  // namespace hami::limiter::region
