// The container's processes on one card, as the region knows them: what a list of processes may
// show, and under which numbers.
//
// Reads the region only; slots may change meanwhile, so a figure is as of some moment during the
// call. Any thread, no state.
#pragma once

#include <cstdint>

#include "abi/region.h"
#include "limiter/region/account.h"
#include "limiter/region/identity.h"

namespace hami::limiter::region {

struct Member {
  uint32_t pid = 0;         // in the caller's pid namespace
  uint32_t host_pid = 0;    // as the driver counts; 0: unknown
  uint64_t bytes = 0;       // by the process's own account
  uint32_t sm_percent = 0;  // busy share that the process published for itself
};

// Calls visit(member) for each living process whose pid means something to `self`: one in another
// pid namespace has no number here that could be shown.
template <class Visit>
void ForEachMember(HamiRegion& region, const Identity& self, unsigned device, Visit visit) {
  const unsigned count = Account<>::SlotCount(region);
  for (unsigned i = 0; i < count; ++i) {
    HamiExtSlot& slot = region.ext.slots[i];
    if (Account<>::LoadState(slot) != HAMI_SLOT_LIVE || slot.pidns_inode != self.pidns_inode) {
      continue;
    }
    Member member;
    member.pid = static_cast<uint32_t>(slot.pid);
    member.host_pid =
        static_cast<uint32_t>(std::atomic_ref(slot.host_pid).load(std::memory_order_relaxed));
    for (uint64_t& bytes : slot.device[device].bytes) member.bytes += Account<>::Load(bytes);
    const uint64_t busy = std::atomic_ref(region.v1.procs[i].device_util[device].sm_util)
                              .load(std::memory_order_relaxed);
    member.sm_percent = busy > 100 ? 100 : static_cast<uint32_t>(busy);
    visit(member);
  }
}

}  // namespace hami::limiter::region
