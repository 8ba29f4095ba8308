#include "limiter/region/attachment.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "limiter/region/lock.h"
#include "limiter/sys/log.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::region {
namespace {

const char* FromEnvironment(const char* name) { return getenv(name); }
void Complain(std::string_view complaint) { HAMI_LIMITER_LOG(kError, text.Add(complaint)); }

// Reads a whole small file into `buffer`.
std::string_view ReadSmall(const char* path, char* buffer, size_t size) {
  const int fd = sys::Open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  size_t filled = 0;
  while (filled < size) {
    const long count = sys::Read(fd, buffer + filled, size - filled);
    if (count <= 0) break;
    filled += static_cast<size_t>(count);
  }
  sys::Close(fd);
  return {buffer, filled};
}

// Without the end of a text that did not fit: a value that is cut would be another one.
std::string_view WholeLines(std::string_view text, size_t size) {
  if (text.size() < size) return text;
  while (!text.empty() && text.back() != '\n') text.remove_suffix(1);
  return text;
}

// What keeps a region from being opened, made or mapped.
std::string_view ReasonOf(int error) {
  constexpr std::pair<int, std::string_view> kReasons[] = {
      {EPERM, "operation not permitted"},
      {ENOENT, "no such folder"},
      {EACCES, "permission denied"},
      {EBUSY, "another process does not finish making it"},
      {ENOTDIR, "not a folder"},
      {EISDIR, "it is a folder"},
      {EINVAL, "not a region that this build knows"},
      {EMFILE, "too many open files"},
      {ENOSPC, "no space left on device"},
      {EROFS, "read-only file system"},
      {ELOOP, "a symbolic link"},
      {ESTALE, "it is being replaced"},
      {EDQUOT, "disk quota exceeded"},
      {ENOMEM, "out of memory"}};
  for (const auto& [number, reason] : kReasons) {
    if (number == error) return reason;
  }
  return "it cannot be mapped";
}

// In a shared file others' limits stand, so its name is worth a line.
void SayWhatIsUsedInstead(std::string_view path, int error, bool shared) {
  HAMI_LIMITER_LOG(
      kError,
      text.Add("cannot use shared region ")
          .Add(path)
          .Add(": ")
          .Add(ReasonOf(error))
          .Add(" (error ")
          .Add(static_cast<uint64_t>(error))
          .Add(shared ? "); using " HAMI_DEFAULT_SHARED_CACHE " and the limits that stand in it"
                      : "); this process is held to its limits alone, not with others"));
}

}  // namespace

constinit Attachment Attachment::own_;

bool Attachment::Map() {
  uint32_t state = state_.load(std::memory_order_acquire);
  if (state < kMapped) {
    const sys::Guard guard(turn_);
    if (state_.load(std::memory_order_relaxed) < kMapped) MapOnce();
    state = state_.load(std::memory_order_relaxed);
  }
  return state != kOff;
}

bool Attachment::Join() {
  if (state_.load(std::memory_order_acquire) == kJoined) return true;
  if (!Map()) return false;
  const sys::Guard guard(turn_);
  if (state_.load(std::memory_order_relaxed) != kJoined) JoinOnce();
  return state_.load(std::memory_order_relaxed) == kJoined;
}

void Attachment::MapOnce() {
  char override_text[4096];
  settings_ = env::ReadSettings(
      &FromEnvironment,
      WholeLines(ReadSmall(HAMI_OVERRIDE_FILE, override_text, sizeof override_text),
                 sizeof override_text),
      &Complain);
  sys::SetLogLevel(settings_.log_level);
  path_ = settings_.region_path;
  limits_.OpenPage(path_.view());
  if (settings_.disable_control) {
    if (limits_.MayBeSwitchedOff()) {
      enabled_.store(false, std::memory_order_relaxed);
      state_.store(kOff, std::memory_order_release);
      return;
    }
    HAMI_LIMITER_LOG(kError, text.Add(HAMI_ENV_DISABLE_CONTROL " is ignored: the administrator "
                                                               "of this node does not allow it"));
  }
  if (const auto path = limits_.RegionPath(); !path.empty()) path_ = sys::Text<256>().Add(path);
  if (settings_.log_level_set) {
    HAMI_LIMITER_LOG(kMessage, text.Add("Initializing....."));
  }
  self_ = OwnIdentity();
  OpenOnePath();
  slots_.Bind(region_, lock_fd_, self_);
  limits_.Bind(region_, settings_);
  state_.store(region_ == nullptr ? kOff : kMapped, std::memory_order_release);
}

// A region that cannot be shared still says what holds in this container.
void Attachment::LowerTo(const StatedLimits& stated) {
  for (size_t i = 0; i < stated.memory.size(); ++i) {
    settings_.memory_limit[i] = LowerLimit(settings_.memory_limit[i], stated.memory[i]);
    const uint64_t percent = stated.sm_percent[i];
    if (percent != 0 && percent < settings_.sm_percent[i]) {
      settings_.sm_percent[i] = static_cast<uint32_t>(percent);
    }
  }
}

// The given path, the default one, memory of our own: whatever works, and never exit.
void Attachment::OpenOnePath() {
  Opened opened = OpenRegion(path_.c_str(), limits_.Beginning(settings_));
  if (opened.region == nullptr) {
    const int error = opened.error;
    LowerTo(ReadLimits(path_.c_str()));
    if (path_.view() != HAMI_DEFAULT_SHARED_CACHE) {
      opened = OpenRegion(HAMI_DEFAULT_SHARED_CACHE, limits_.Beginning(settings_));
    }
    const bool shared = opened.region != nullptr;
    SayWhatIsUsedInstead(path_.view(), -error, shared);
    path_ = shared ? sys::Text<256>().Add(HAMI_DEFAULT_SHARED_CACHE) : sys::Text<256>();
    if (!shared) opened = AnonymousRegion(limits_.Beginning(settings_));
  }
  region_ = opened.region;
  SetLock(opened.lock_fd);
}

void Attachment::JoinOnce() {
  if (state_.load(std::memory_order_relaxed) == kOff) return;
  if (lock_fd_ < 0 && !path_.view().empty()) {  // forked child: the parent's lock is not ours
    OpenOwnLock();
  }
  self_ = OwnIdentity();
  slots_.Bind(region_, lock_fd_, self_);
  const int slot = slots_.Claim();
  if (slot < 0) {
    if (state_.load(std::memory_order_relaxed) != kFull) {
      HAMI_LIMITER_LOG(kError, text.Add("all slots of ")
                                   .Add(path_.view())
                                   .Add(" are taken: device allocations will be refused"));
    }
    state_.store(kFull, std::memory_order_release);
    return;
  }
  epoch_ = region_->ext.slots[slot].epoch;
  FindWords(slot);
  slot_.store(slot, std::memory_order_relaxed);
  state_.store(kJoined, std::memory_order_release);
  if (settings_.log_level_set) {
    HAMI_LIMITER_LOG(kMessage, text.Add("Initialized"));
  }
}

void Attachment::FindWords(int slot) {
  HamiExtHeader& header = region_->ext.header;
  HamiExtSlot& own = region_->ext.slots[slot];
  HamiV1Slot& mirror = region_->v1.procs[slot];
  for (unsigned d = 0; d < HAMI_EXT_DEVICES; ++d) {
    words_[d] = {&header,         &header.devices[d], &own.device[d],
                 &own.pending[d], &mirror.used[d],    &account_turns_[d]};
  }
}

void Attachment::SetLock(int fd) {
  lock_fd_ = fd < 0 ? -1 : fd;
  struct stat status;
  if (fd < 0 || sys::Stat(fd, &status) != 0) return;
  lock_device_ = status.st_dev;
  lock_inode_ = status.st_ino;
}

// Again, by path: there may be another file by now, whose locks say nothing about this region. Then
// there is no lock, and identity alone tells who lives.
void Attachment::OpenOwnLock() {
  const int fd = OpenLock(path_.c_str());
  struct stat status;
  const bool other = fd >= 0 && lock_inode_ != 0 && sys::Stat(fd, &status) == 0 &&
                     (status.st_dev != lock_device_ || status.st_ino != lock_inode_);
  if (other) sys::Close(fd);
  SetLock(other ? -1 : fd);
}

// Programs that become daemons close all descriptors; the number may be another file's by now.
bool Attachment::LockIsOurs() const {
  struct stat status;
  return lock_fd_ >= 0 && sys::Stat(lock_fd_, &status) == 0 && status.st_dev == lock_device_ &&
         status.st_ino == lock_inode_;
}

void Attachment::RetakeLock() {
  const sys::Guard guard(turn_);
  const int slot = slot_.load(std::memory_order_relaxed);
  if (path_.view().empty() || slot < 0) return;
  if (!LockIsOurs()) {
    OpenOwnLock();
    slots_.Bind(region_, lock_fd_, self_);
  }
  if (lock_fd_ >= 0) TryLockRange(lock_fd_, HAMI_LOCK_SLOTS + static_cast<uint64_t>(slot), 1);
}

uint64_t Attachment::Settle(unsigned device) {
  RetakeLock();
  const int slot = slot_.load(std::memory_order_relaxed);
  slots_.Reap(slot, sys::NowNs(CLOCK_BOOTTIME));
  const uint64_t dead = slots_.BytesOfTheDead(slot, device);  // before the repair counts them
  return dead + Account<>::Repair(*region_, device).under_way;
}

void Attachment::LookAround() {
  if (!Map()) return;
  RetakeLock();
  {
    // Held while reaping: a thread that joins meanwhile locks its byte through the same
    // description, so a test of that byte would succeed, and give the lock up.
    const sys::Guard guard(turn_);
    const int slot = slot_.load(std::memory_order_relaxed);
    if (slot < 0 && !path_.view().empty()) {
      if (!LockIsOurs()) OpenOwnLock();
      self_ = OwnIdentity();
      slots_.Bind(region_, lock_fd_, self_);
    }
    if (lock_fd_ < 0) return;  // a region of our own: nobody else's processes in it
    slots_.Reap(slot, sys::NowNs(CLOCK_BOOTTIME));
  }
  for (unsigned device = 0; device < HAMI_V1_DEVICES; ++device) {
    if (Used(device) > 0) Account<>::Repair(*region_, device);
  }
}

// One thread looks, whoever comes first; the others go on with what stands.
void Attachment::GlanceAgain(uint64_t now) {
  uint64_t before = looked_.load(std::memory_order_relaxed);
  if (now - before <= sys::kFractionOfASecond) return;
  if (looked_.compare_exchange_strong(before, now)) LookAround();
}

uint64_t Attachment::InFlight(unsigned device) {
  uint64_t sum = 0;
  const unsigned count = slots_.Count();
  for (unsigned i = 0; i < count; ++i) {
    HamiExtSlot& slot = region_->ext.slots[i];
    if (Account<>::LoadState(slot) != HAMI_SLOT_LIVE) continue;
    const uint64_t pending = Account<>::SlotPending(slot, device);
    if (pending == 0 || IsStopped(OwnerOf(slot), self_)) continue;
    sum += pending;
  }
  return sum;
}

void Attachment::AfterFork() {
  turn_.Reset();
  for (sys::ShortLock& turn : account_turns_) turn.Reset();
  slots_.ResetLocks();
  const uint32_t state = state_.load(std::memory_order_relaxed);
  if (state < kMapped || state == kOff) return;
  if (LockIsOurs()) sys::Close(lock_fd_);
  lock_fd_ = -1;
  slot_.store(-1, std::memory_order_relaxed);
  state_.store(kMapped, std::memory_order_release);
}

}  // namespace hami::limiter::region
