// Slots: which processes take part, which of them live, and what becomes of the dead ones' memory.
#include <fcntl.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>

#include "sim/core/ledger_detail.h"

namespace hami::sim {

using namespace ledger_detail;  // NOLINT: one module in two files

bool Ledger::Join() {
  if (file_ == nullptr || read_only_ || lock_fd_ < 0) return false;
  Guard guard(slot_mutex_);
  if (slot_ >= 0) return Holds();
  for (int slot = 0; slot < kMaxSlots; ++slot) {
    if (!LockByte(lock_fd_, kSlotLockBase + slot, false)) continue;
    FreeSlot(slot);  // it may be a dead one's
    FillSlot(slot);
    int32_t high = file_->slots_high.load();
    while (high <= slot && !file_->slots_high.compare_exchange_weak(high, slot + 1)) {
    }
    slot_ = slot;
    return true;
  }
  return false;
}

void Ledger::FillSlot(int number) {
  Slot& slot = file_->slots[number];
  slot.pid = static_cast<int32_t>(getpid());
  slot.pid_namespace = NamespaceInode("/proc/self/ns/pid");
  slot.group = FindGroup();
  CopyText(slot.name, program_invocation_short_name);
  const uint32_t rings = slot.rings.exchange(0);
  for (int card = 0; card < kMaxCards; ++card) {
    if ((rings >> card & 1) == 0) continue;
    ResetRing(file_->rings[number][card]);
  }
  for (Line& line : file_->lines[number]) {
    if (line.peak.load(std::memory_order_relaxed) != 0) line.peak = 0;
  }
  epoch_ = slot.epoch.load(std::memory_order_relaxed);
  struct flock pid_lock = ByteRange(F_WRLCK, kPidLockBase + number);
  fcntl(map_fd_, F_SETLK, &pid_lock);
  slot.used.store(1, std::memory_order_release);
}

int Ledger::FindGroup() {
  struct utsname names;
  uname(&names);
  uint64_t key = Mix(NamespaceInode("/proc/self/ns/mnt") ^ HashText(names.nodename));
  if (key == 0) key = 1;
  LockByte(lock_fd_, kGroupLockByte, true);
  int found = -1;
  int oldest_idle = 0;
  for (int i = 0; i < kMaxGroups && found < 0; ++i) {
    Group& group = file_->groups[i];
    const uint64_t there = group.key.load(std::memory_order_acquire);
    if (there == key) found = i;
    if (there == 0) {
      oldest_idle = i;
      break;
    }
    bool idle = true;
    for (const Slot& slot : file_->slots)
      idle = idle && !(slot.used.load() != 0 && slot.group == i);
    if (idle && group.born < file_->groups[oldest_idle].born) oldest_idle = i;
  }
  if (found < 0) {
    found = oldest_idle;
    Group& group = file_->groups[found];
    const bool there_before = group.key.load() != 0;  // untouched pages stay untouched
    for (AccountWord& account : group.accounts) {
      account.word = Pack(0, kNobody, 0);
      account.peak = 0;
    }
    if (there_before) {
      for (Ring& ring : file_->group_rings[found]) ResetRing(ring);
    }
    CopyText(group.name, names.nodename);
    group.born = ++file_->groups_made;
    group.key.store(key, std::memory_order_release);
  }
  UnlockByte(lock_fd_, kGroupLockByte);
  return found;
}

// Only with the slot's byte locked by this process.
void Ledger::FreeSlot(int number) {
  Slot& slot = file_->slots[number];
  if (slot.used.load(std::memory_order_acquire) == 0) return;
  slot.epoch.fetch_add(1, std::memory_order_relaxed);
  Group& group = file_->groups[slot.group];
  for (int card = 0; card < kMaxCards; ++card) {
    Line& line = file_->lines[number][card];
    if (line.begun.load() == 0) continue;
    if (line.begun.load() != line.done.load()) Finish(number, card);
    const uint64_t used = line.used.load();
    if (used != 0) Apply(number, card, -static_cast<int64_t>(used), kNoLimit);
    for (auto& kind : line.kinds) kind = 0;
    // The slot's next owner may belong to another group: leave no tag of ours behind in this one.
    uint64_t seen = group.accounts[card].word.load();
    while (SlotOf(seen) == number &&
           !group.accounts[card].word.compare_exchange_weak(seen, Pack(UsedOf(seen), kNobody, 0))) {
    }
  }
  slot.used.store(0, std::memory_order_release);
}

int Ledger::ReapLocked() {
  if (read_only_ || lock_fd_ < 0) return 0;
  // One process at a time, or a slot that another one is just freeing would look alive. A reaper
  // that dies drops the lock; one that was stopped is waited for no longer than this.
  const int64_t until = NowMonotonicNs() + kReapPatienceNs;
  bool alone = LockByte(lock_fd_, kReapLockByte, false);
  while (!alone && NowMonotonicNs() < until) {
    sched_yield();
    alone = LockByte(lock_fd_, kReapLockByte, false);
  }
  int freed = 0;
  const int high = file_->slots_high.load(std::memory_order_acquire);
  for (int slot = 0; slot < high; ++slot) {
    if (slot == slot_ || file_->slots[slot].used.load(std::memory_order_acquire) == 0) continue;
    if (!LockByte(lock_fd_, kSlotLockBase + slot, false)) continue;
    FreeSlot(slot);
    ++freed;
    UnlockByte(lock_fd_, kSlotLockBase + slot);
  }
  if (alone) UnlockByte(lock_fd_, kReapLockByte);
  last_reap_ns_ = NowMonotonicNs();
  return freed;
}

int Ledger::Reap() {
  Guard guard(slot_mutex_);
  return ReapLocked();
}

void Ledger::ReapSometimes() {
  if (NowMonotonicNs() - last_reap_ns_ < 1'000'000) return;
  Reap();
}

bool Ledger::IsAlive(int slot) const {
  if (slot == slot_) return true;
  struct flock range = ByteRange(F_WRLCK, kSlotLockBase + slot);
  return fcntl(lock_fd_, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

int32_t Ledger::PidOf(int number) const {
  const Slot& slot = file_->slots[number];
  if (number == slot_) return slot.pid;
  struct flock range = ByteRange(F_WRLCK, kPidLockBase + number);
  if (fcntl(map_fd_, F_GETLK, &range) == 0 && range.l_type != F_UNLCK && range.l_pid > 0) {
    return range.l_pid;  // the kernel translates it into our namespace
  }
  return slot.pid_namespace == NamespaceInode("/proc/self/ns/pid") ? slot.pid : 0;
}

}  // namespace hami::sim
