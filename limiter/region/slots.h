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

  // Slots that can hold anything: 0..count-1.
  unsigned Count() const;

  // In the child of a fork.
  void ResetLocks() { turn_.Reset(); }

 private:
  bool TryClaim(int index);
  bool ReapOne(int index, uint64_t boot_ns);
  bool IsDead(HamiExtSlot& slot, uint64_t boot_ns);
  bool LockByte(int index);
  void UnlockByte(int index);

  HamiRegion* region_ = nullptr;
  int lock_fd_ = -1;
  Identity self_;
  sys::Lock turn_;
};

}  // namespace hami::limiter::region
