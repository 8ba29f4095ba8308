// Slots of the region: one per process, fixed for life, never moved.
//
// A slot's owner holds the lock of its byte. A slot is given back ("reaped") when its byte is free
// and its owner's identity is gone or cannot be told (design.md decision 12). Reaping may be
// interrupted anywhere: the slot then stays in state HAMI_SLOT_REAPING with a free byte, and the
// next reaper begins again.
//
// Owner: the process's Attachment. Any thread; reaping threads of one process take turns.
#pragma once

#include <cstdint>

#include "abi/region.h"
#include "limiter/region/account.h"
#include "limiter/region/identity.h"
#include "limiter/sys/spin.h"

namespace hami::limiter::region {

// Empties a dead process's slot and its mirror in the prefix. The totals are left too high;
// Account::Repair lowers them.
template <class Step = NoStep>
void ClearSlot(HamiExtSlot& slot, HamiV1Slot& mirror) {
  using Words = Account<Step>;
  Words::StoreState(slot, HAMI_SLOT_REAPING);
  for (unsigned d = 0; d < HAMI_EXT_DEVICES; ++d) {
    for (uint64_t& bytes : slot.device[d].bytes) {
      if (Words::Load(bytes) != 0) Words::Store(bytes, 0);
    }
    slot.contexts[d] = 0;
    slot.device[d].busy_ns = 0;
    slot.device[d].launches = 0;
    if (Words::Load(slot.pending[d]) != 0) Words::Store(slot.pending[d], 0);
    mirror.used[d] = {};
    mirror.monitorused[d] = 0;
    mirror.device_util[d] = {};
  }
  std::atomic_ref(mirror.status).store(HAMI_V1_ENDED, std::memory_order_relaxed);
  mirror.hostpid = 0;
  std::atomic_ref(mirror.pid).store(0, std::memory_order_release);
  Words::StoreState(slot, HAMI_SLOT_FREE);
}

// Who a slot belongs to. Whoever reads it while the slot changes hands may get parts of both.
inline Identity OwnerOf(HamiExtSlot& slot) {
  Identity owner;
  owner.pid = std::atomic_ref(slot.pid).load(std::memory_order_relaxed);
  owner.pidns_inode = std::atomic_ref(slot.pidns_inode).load(std::memory_order_relaxed);
  owner.start_ticks = std::atomic_ref(slot.start_ticks).load(std::memory_order_relaxed);
  return owner;
}
inline void SetOwner(HamiExtSlot& slot, const Identity& owner) {
  std::atomic_ref(slot.pid).store(owner.pid, std::memory_order_relaxed);
  std::atomic_ref(slot.pidns_inode).store(owner.pidns_inode, std::memory_order_relaxed);
  std::atomic_ref(slot.start_ticks).store(owner.start_ticks, std::memory_order_relaxed);
}

// Takes slot `index` if it is free. `locks` has TryLock(index) and Unlock(index) of the slots'
// bytes; it keeps the byte of a slot that was taken.
template <class Step, class Locks>
bool TakeSlot(HamiRegion& region, int index, const Identity& self, Locks& locks) {
  using Words = Account<Step>;
  HamiExtSlot& slot = region.ext.slots[index];
  HamiV1Slot& mirror = region.v1.procs[index];
  if (Words::LoadState(slot) != HAMI_SLOT_FREE || !locks.TryLock(index)) return false;
  if (!Words::ChangeState(slot, HAMI_SLOT_FREE, HAMI_SLOT_CLAIMING)) {
    locks.Unlock(index);
    return false;
  }
  slot.epoch += 1;
  SetOwner(slot, self);
  std::atomic_ref(slot.host_pid).store(HostPidOf(self), std::memory_order_relaxed);
  Words::Store(slot.free_seen_ns, 0);
  Words::RaiseSlotCount(region, index + 1);  // before any reservation
  mirror.seqlock = 0;
  mirror.hostpid = HostPidOf(self);
  std::atomic_ref(mirror.status).store(HAMI_V1_RUNNING, std::memory_order_relaxed);
  std::atomic_ref(mirror.pid).store(self.pid, std::memory_order_release);
  Words::StoreState(slot, HAMI_SLOT_LIVE);
  return true;
}

// Empties slot `index` if it is in use and nobody holds its byte and `locks.IsDead(slot)`.
template <class Step, class Locks>
bool ReapSlot(HamiRegion& region, int index, Locks& locks) {
  using Words = Account<Step>;
  HamiExtSlot& slot = region.ext.slots[index];
  if (Words::LoadState(slot) == HAMI_SLOT_FREE) return false;
  if (!locks.TryLock(index)) {
    if (Words::Load(slot.free_seen_ns) != 0) Words::Store(slot.free_seen_ns, 0);
    return false;
  }
  const bool dead = Words::LoadState(slot) != HAMI_SLOT_FREE && locks.IsDead(slot);
  if (dead) {
    ClearSlot<Step>(slot, region.v1.procs[index]);
    std::atomic_ref(region.ext.header.reaped).fetch_add(1, std::memory_order_relaxed);
  }
  locks.Unlock(index);
  return dead;
}

class Slots {
 public:
  // How long the byte of a process that cannot be told must stay free (boot clock).
  static constexpr uint64_t kUnknownGraceNs = 5'000'000'000;

  // `lock_fd` -1: memory of this process alone.
  void Bind(HamiRegion* region, int lock_fd, const Identity& self);

  // Index of a slot that is this process's now; -1: none is free, also after a reap.
  int Claim();

  // Gives back the slots of dead processes; how many. `own`: index to leave alone, or -1.
  unsigned Reap(int own, uint64_t boot_ns);

  // Bytes in slots of processes known to be dead that could not be given back: another reaper holds
  // the byte for the moment, or a child that the dead one left behind does as long as it lives.
  uint64_t BytesOfTheDead(int own, unsigned device) const {
    return BytesNotAlive(own, device, true);
  }
  // Bytes in slots whose byte was free at the last reap and whose owner cannot be told: of another
  // pid namespace, as after a container's restart. Given back when kUnknownGraceNs is over.
  uint64_t BytesOfTheUnknown(int own, unsigned device) const {
    return BytesNotAlive(own, device, false);
  }

  // Slots that can hold anything: 0..count-1.
  unsigned Count() const;

  // In the child of a fork.
  void ResetLocks() { turn_.Reset(); }

 private:
  struct Locks;
  bool IsDead(HamiExtSlot& slot, uint64_t boot_ns) const;
  uint64_t BytesNotAlive(int own, unsigned device, bool known_dead) const;

  HamiRegion* region_ = nullptr;
  int lock_fd_ = -1;
  Identity self_;
  sys::Lock turn_;
};

}  // namespace hami::limiter::region
