// This process's place in the container's account: the mapped region, its slot, the limits that
// hold for it.
//
// One per process, made at first use of the driver, made anew in a forked child. Mapping alone (a
// program that only asks NVML) takes no slot. Any thread; the first one does the work.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/region.h"
#include "limiter/env/settings.h"
#include "limiter/region/account.h"
#include "limiter/region/file.h"
#include "limiter/region/limits.h"
#include "limiter/region/slots.h"
#include "limiter/sys/ticks.h"

namespace hami::limiter::region {

class Attachment {
 public:
  // The process's one. Constant-initialised: usable before any constructor has run.
  static Attachment& Own() { return own_; }

  // Reads the environment and maps the region. False: switched off by an administrator's leave.
  bool Map();
  // Map() and a slot. False: switched off, or all slots are taken by living processes.
  bool Join();
  bool enabled() const { return enabled_.load(std::memory_order_relaxed); }

  // The rest needs Map() to have returned true; words() and the slow path need Join().
  HamiRegion& region() { return *region_; }
  const env::Settings& settings() const { return settings_; }
  const Identity& self() const { return self_; }
  const Limits& limits() const { return limits_; }
  Limits& limits() { return limits_; }

  // This process's slot; -1: none.
  int slot_index() const { return slot_.load(std::memory_order_relaxed); }
  // Bytes that the container uses on a device.
  uint64_t Used(unsigned device) const { return BytesOf(UsedTagged(device)); }
  // With the tag that tells whether they have changed meanwhile.
  uint64_t UsedTagged(unsigned device) const {
    return Account<>::Load(region_->ext.header.devices[device].used_total);
  }
  // Valid as long as this process has its slot.
  const Account<>::Words& words(unsigned device) const { return words_[device]; }
  // This process's slot.
  HamiExtSlot& slot() { return region_->ext.slots[slot_.load(std::memory_order_relaxed)]; }

  // Makes the books exact before a refusal: takes back a lost lock, reaps, repairs one device.
  // Returns the bytes that may be counted though nobody has them, because others are in the middle
  // of something; they are right when it is called again.
  uint64_t Settle(unsigned device);
  // Makes the books exact for one that only looks: whoever comes after processes were killed reads
  // what lives, though it allocates nothing and has no slot. Costs some file-lock tests: for
  // initialisation.
  void LookAround();
  // The same for one that looks again and again: at most a few times a second, nothing otherwise.
  void Glance() {
    const uint64_t now = sys::Ticks();
    if (now - looked_.load(std::memory_order_relaxed) > sys::kFractionOfASecond) GlanceAgain(now);
  }
  // Bytes of operations that processes have begun and are about to finish.
  uint64_t InFlight(unsigned device);
  // Bytes of processes that are most likely dead, which shows within kUnknownGraceNs.
  uint64_t Unknown(unsigned device) {
    return slots_.BytesOfTheUnknown(slot_.load(std::memory_order_relaxed), device);
  }

  // For the child of a fork: forgets slot and lock of the parent; the mapping stays.
  void AfterFork();

 private:
  enum State : uint32_t { kNew = 0, kMapped = 1, kJoined = 2, kFull = 3, kOff = 4 };

  void MapOnce();
  void JoinOnce();
  void FindWords(int slot);
  void LowerTo(const StatedLimits& stated);
  void OpenOnePath();
  void SetLock(int fd);
  void OpenOwnLock();
  bool LockIsOurs() const;
  void RetakeLock();
  void GlanceAgain(uint64_t now);

  static Attachment own_;

  sys::Lock turn_;
  std::atomic<uint32_t> state_{kNew};
  std::atomic<bool> enabled_{true};
  std::atomic<int> slot_{-1};
  std::atomic<uint64_t> looked_{0};  // sys::Ticks
  uint32_t epoch_ = 0;
  HamiRegion* region_ = nullptr;
  Limits limits_;
  int lock_fd_ = -1;
  dev_t lock_device_ = 0;
  ino_t lock_inode_ = 0;
  Slots slots_;
  Identity self_;
  env::Settings settings_;
  sys::Text<256> path_;
  Account<>::Words words_[HAMI_EXT_DEVICES] = {};
  sys::ShortLock account_turns_[HAMI_EXT_DEVICES];
};

}  // namespace hami::limiter::region
