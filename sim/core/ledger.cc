// How the books stay exact when a process is killed between any two instructions:
//
// A change has a sequence number in its process's line: `begun` is stored with the change before
// the first account word is touched, `done` after the last. Each account word carries the (slot,
// sequence) of the change that produced it. Whoever replaces that tag first records the replaced
// sequence in the author's line (`seen_*`). So for a dead author "did the change reach the word?"
// has an exact answer: the word still carries its tag, or the line says seen. The recorder's
// compare-and-swap carries a version, so a recorder delayed for long can not overwrite newer news.
//
// Peaks cannot be missed either: a value's peak is raised before the value is replaced.
// Order: taking moves the card first (it alone can refuse), then the group; giving the other way
// round, so a group never shows more than its processes hold.
#include "sim/core/ledger.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "sim/core/text.h"

namespace hami::sim {
namespace {

constexpr uint64_t kSequenceMask = 0xfff;
constexpr uint64_t kNoLimit = ~uint64_t{0};
constexpr int64_t kReapPatienceNs = 100'000'000;

uint64_t UsedOf(uint64_t word) { return word >> 22; }
int SlotOf(uint64_t word) { return static_cast<int>((word >> 12) & 0x3ff); }
uint64_t SequenceOf(uint64_t word) { return word & kSequenceMask; }

uint64_t Pack(uint64_t used, int slot, uint64_t sequence) {
  return used << 22 | static_cast<uint64_t>(slot) << 12 | (sequence & kSequenceMask);
}

void Raise(std::atomic<uint64_t>& peak, uint64_t value) {
  uint64_t old = peak.load(std::memory_order_relaxed);
  while (old < value && !peak.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
}

void ResetRing(Ring& ring) {
  ring.last_done_ns = 0;
  ring.busy_total_ns = 0;
  ring.launches = 0;
  for (auto& bucket : ring.buckets) bucket = 0;
}

class Guard {
 public:
  explicit Guard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Guard() { pthread_mutex_unlock(&mutex_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

uint64_t NamespaceInode(const char* path) {
  char text[64] = "";
  const ssize_t n = readlink(path, text, sizeof text - 1);
  const char* open = n > 0 ? strchr(text, '[') : nullptr;
  uint64_t inode = 0;
  if (open != nullptr) {
    ParseUnsigned({open + 1, static_cast<size_t>(text + n - open - 2)}, inode);
  }
  return inode;
}

struct flock ByteRange(short type, int64_t byte) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return range;
}

// Away from the low numbers that programs count on.
int HighDescriptor(int fd) {
  if (fd < 0) return fd;
  const int high = fcntl(fd, F_DUPFD_CLOEXEC, 500);
  if (high < 0) return fd;
  close(fd);
  return high;
}

int64_t Now(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

}  // namespace

int64_t NowMonotonicNs() { return Now(CLOCK_MONOTONIC); }
int64_t NowRealtimeNs() { return Now(CLOCK_REALTIME); }

void Ledger::Close() {
  if (file_ != nullptr) munmap(file_, sizeof(StateFile));
  if (lock_fd_ >= 0) close(lock_fd_);
  if (map_fd_ >= 0) close(map_fd_);
  file_ = nullptr;
  lock_fd_ = map_fd_ = slot_ = -1;
}

bool Ledger::LockByte(int fd, int64_t byte, bool wait) const {
  for (;;) {
    struct flock range = ByteRange(F_WRLCK, byte);
    if (fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &range) == 0) return true;
    if (errno != EINTR) return false;
  }
}

void Ledger::UnlockByte(int fd, int64_t byte) const {
  struct flock range = ByteRange(F_UNLCK, byte);
  fcntl(fd, F_OFD_SETLK, &range);
}

void Ledger::LockCard(int card) {
  pthread_mutex_lock(&card_mutex_[card]);
  LockByte(lock_fd_, kCardLockBase + card, true);
}

void Ledger::UnlockCard(int card) {
  UnlockByte(lock_fd_, kCardLockBase + card);
  pthread_mutex_unlock(&card_mutex_[card]);
}

bool Ledger::OpenLockDescription() {
  lock_fd_ = HighDescriptor(open(path_, (read_only_ ? O_RDONLY : O_RDWR) | O_CLOEXEC));
  return lock_fd_ >= 0;
}

bool Ledger::Create(int fd, ReadError& error) {
  if (!LockByte(lock_fd_, kCreateLockByte, true)) {
    error.Set(0, "cannot be locked: %s", strerror(errno));
    return false;
  }
  struct stat info;
  bool ok = syscall(SYS_fstat, fd, &info) == 0;
  if (ok && info.st_size == 0) {
    fchmod(fd, 0666);  // the umask of a user's program is not ours to change
    ok = ftruncate(fd, sizeof(StateFile)) == 0;
    if (ok) {
      void* map = mmap(nullptr, sizeof(StateFile), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
      ok = map != MAP_FAILED;
      if (ok) {
        auto* file = static_cast<StateFile*>(map);
        file->version = kStateVersion;
        file->size = sizeof(StateFile);
        file->magic.store(kStateMagic, std::memory_order_release);
        munmap(map, sizeof(StateFile));
      }
    }
  }
  if (!ok) error.Set(0, "cannot be created: %s", strerror(errno));
  UnlockByte(lock_fd_, kCreateLockByte);
  return ok;
}

bool Ledger::Open(const char* path, bool may_write, ReadError& error) {
  Close();  // what a former try that failed left open
  read_only_ = false;
  CopyText(path_, path);
  int fd = may_write ? open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666) : -1;
  if (fd < 0) {
    if (may_write && errno != EROFS && errno != EACCES && errno != EPERM) {
      error.Set(0, "%s: cannot be opened: %s", path, strerror(errno));
      return false;
    }
    read_only_ = true;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
      error.Set(0, "%s: cannot be opened: %s", path, strerror(errno));
      return false;
    }
  }
  map_fd_ = HighDescriptor(fd);
  if (!OpenLockDescription()) {
    error.Set(0, "%s: cannot be opened twice: %s", path, strerror(errno));
    return false;
  }
  if (!read_only_ && !Create(map_fd_, error)) return false;
  struct stat info;
  if (syscall(SYS_fstat, map_fd_, &info) != 0 ||
      info.st_size != static_cast<off_t>(sizeof(StateFile))) {
    error.Set(0, "%s: not a state file of this version of the simulated driver; remove it", path);
    return false;
  }
  const int access = PROT_READ | (read_only_ ? 0 : PROT_WRITE);
  void* map = mmap(nullptr, sizeof(StateFile), access, MAP_SHARED, map_fd_, 0);
  if (map == MAP_FAILED) {
    error.Set(0, "%s: cannot be mapped: %s", path, strerror(errno));
    return false;
  }
  auto* file = static_cast<StateFile*>(map);
  if (file->magic.load(std::memory_order_acquire) != kStateMagic ||
      file->version != kStateVersion) {
    munmap(map, sizeof(StateFile));
    error.Set(0, "%s: not a state file of this version of the simulated driver; remove it", path);
    return false;
  }
  file_ = file;
  return true;
}

void Ledger::ForgetAfterFork() {
  // The parent's lock lives as long as any copy of its description: close ours first.
  if (lock_fd_ >= 0) close(lock_fd_);
  lock_fd_ = -1;
  slot_ = -1;
  slot_mutex_ = PTHREAD_MUTEX_INITIALIZER;
  for (pthread_mutex_t& mutex : book_mutex_) mutex = PTHREAD_MUTEX_INITIALIZER;
  for (pthread_mutex_t& mutex : card_mutex_) mutex = PTHREAD_MUTEX_INITIALIZER;
  if (file_ != nullptr) OpenLockDescription();
}

bool Ledger::Holds() const {
  return slot_ >= 0 && file_->slots[slot_].epoch.load(std::memory_order_relaxed) == epoch_;
}

// Slots
// ---------------------------------------------------------------------------------------------

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

// Books
// ---------------------------------------------------------------------------------------------

void Ledger::Settle(AccountWord& word, bool is_group, int slot, int card, uint64_t seen) {
  Raise(word.peak, UsedOf(seen));
  const int author = SlotOf(seen);
  if (author == kNobody || author == slot) return;  // one's own last change is finished
  Line& line = file_->lines[author][card];
  std::atomic<uint64_t>& record = is_group ? line.seen_group : line.seen_card;
  uint64_t known = record.load();
  if ((known & kSequenceMask) == SequenceOf(seen)) return;
  if (word.word.load() != seen) return;  // then the caller's exchange fails and it comes back
  record.compare_exchange_strong(known, ((known >> 12) + 1) << 12 | SequenceOf(seen));
}

bool Ledger::Reached(const AccountWord& word, bool is_group, int slot, int card) const {
  const Line& line = file_->lines[slot][card];
  const uint64_t sequence = line.begun.load() & kSequenceMask;
  const uint64_t value = word.word.load();
  if (SlotOf(value) == slot && SequenceOf(value) == sequence) return true;
  return ((is_group ? line.seen_group : line.seen_card).load() & kSequenceMask) == sequence;
}

bool Ledger::Move(AccountWord& word, bool is_group, int slot, int card, int64_t delta,
                  uint64_t limit) {
  const uint64_t sequence = file_->lines[slot][card].begun.load(std::memory_order_relaxed);
  uint64_t seen = word.word.load();
  for (;;) {
    const uint64_t used = UsedOf(seen) + static_cast<uint64_t>(delta);
    if (delta > 0 && (used > limit || used < UsedOf(seen))) return false;
    Settle(word, is_group, slot, card, seen);
    if (word.word.compare_exchange_weak(seen, Pack(used, slot, sequence))) {
      Raise(word.peak, used);
      return true;
    }
  }
}

bool Ledger::Apply(int slot, int card, int64_t delta, uint64_t limit) {
  Line& line = file_->lines[slot][card];
  const uint64_t sequence = line.done.load(std::memory_order_relaxed) + 1;
  // A record 4096 changes old would read as "this one was seen".
  for (std::atomic<uint64_t>* record : {&line.seen_card, &line.seen_group}) {
    uint64_t known = record->load();
    while ((known & kSequenceMask) == (sequence & kSequenceMask) &&
           !record->compare_exchange_weak(
               known, ((known >> 12) + 1) << 12 | ((sequence - 1) & kSequenceMask))) {
    }
  }
  const uint64_t result = line.used.load(std::memory_order_relaxed) + static_cast<uint64_t>(delta);
  line.delta.store(delta, std::memory_order_relaxed);
  line.result.store(result, std::memory_order_relaxed);
  line.begun.store(sequence);
  AccountWord& card_word = file_->cards[card].account;
  AccountWord& group_word = file_->groups[file_->slots[slot].group].accounts[card];
  if (delta > 0) {
    if (!Move(card_word, false, slot, card, delta, limit)) {
      line.done.store(sequence);
      return false;
    }
    Move(group_word, true, slot, card, delta, kNoLimit);
  } else {
    Move(group_word, true, slot, card, delta, kNoLimit);
    Move(card_word, false, slot, card, delta, kNoLimit);
  }
  line.used.store(result);
  Raise(line.peak, result);
  line.done.store(sequence);
  return true;
}

// Brings a change to its end that its author, now dead, left half-way; may itself be repeated.
void Ledger::Finish(int slot, int card) {
  Line& line = file_->lines[slot][card];
  const int64_t delta = line.delta.load();
  AccountWord& card_word = file_->cards[card].account;
  AccountWord& group_word = file_->groups[file_->slots[slot].group].accounts[card];
  const bool at_card = Reached(card_word, false, slot, card);
  const bool at_group = Reached(group_word, true, slot, card);
  if (at_card || at_group) {
    if (!at_group) Move(group_word, true, slot, card, delta, kNoLimit);
    if (!at_card) Move(card_word, false, slot, card, delta, kNoLimit);
    line.used.store(line.result.load());
  }
  line.done.store(line.begun.load());
}

bool Ledger::Take(int card, uint64_t bytes, uint64_t limit, Kind kind) {
  if (bytes > limit || !Holds()) return false;
  Line& line = file_->lines[slot_][card];
  const AccountWord& card_word = file_->cards[card].account;
  const AccountWord& group_word = file_->groups[file_->slots[slot_].group].accounts[card];
  const uint64_t peak = card_word.peak.load();
  // A driver has freed what the dead held before it refuses anybody, and before a new peak: only
  // what does not need to know about the dead goes without asking for them.
  const bool below_peaks =
      UsedOf(group_word.word.load()) + bytes <= group_word.peak.load() && bytes <= peak;
  {
    Guard guard(book_mutex_[card]);
    const auto delta = static_cast<int64_t>(bytes);
    if (!below_peaks || !Apply(slot_, card, delta, peak < limit ? peak : limit)) {
      Reap();
      if (!Apply(slot_, card, delta, limit)) return false;
    }
  }
  line.kinds[static_cast<int>(kind)].fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void Ledger::Give(int card, uint64_t bytes, Kind kind) {
  if (!Holds()) return;  // freed with the slot already
  Line& line = file_->lines[slot_][card];
  line.kinds[static_cast<int>(kind)].fetch_sub(bytes, std::memory_order_relaxed);
  Guard guard(book_mutex_[card]);
  Apply(slot_, card, -static_cast<int64_t>(bytes), kNoLimit);
}

uint64_t Ledger::Used(int card) {
  if (!read_only_) {
    ReapSometimes();
    return UsedOf(file_->cards[card].account.word.load());
  }
  uint64_t dead = 0;
  for (int slot = 0; slot < file_->slots_high.load(); ++slot) {
    if (file_->slots[slot].used.load() == 0) continue;
    const uint64_t used = file_->lines[slot][card].used.load();
    if (used != 0 && !IsAlive(slot)) dead += used;
  }
  const uint64_t used = UsedOf(file_->cards[card].account.word.load());
  return used > dead ? used - dead : 0;
}

uint64_t Ledger::Peak(int card) const {
  const AccountWord& account = file_->cards[card].account;
  const uint64_t used = UsedOf(account.word.load());
  const uint64_t peak = account.peak.load();
  return peak > used ? peak : used;
}

uint64_t Ledger::GroupUsed(int group, int card) const {
  return UsedOf(file_->groups[group].accounts[card].word.load());
}

uint64_t Ledger::GroupPeak(int group, int card) const {
  const uint64_t used = GroupUsed(group, card);
  const uint64_t peak = file_->groups[group].accounts[card].peak.load();
  return peak > used ? peak : used;
}

void Ledger::ResetPeaks() {
  for (int card = 0; card < kMaxCards; ++card) {
    file_->cards[card].account.peak = UsedOf(file_->cards[card].account.word.load());
    for (Group& group : file_->groups) {
      if (group.key.load() != 0)
        group.accounts[card].peak = UsedOf(group.accounts[card].word.load());
    }
  }
  for (int slot = 0; slot < file_->slots_high.load(); ++slot) {
    if (file_->slots[slot].used.load() == 0) continue;
    for (Line& line : file_->lines[slot]) {
      if (line.begun.load() != 0) line.peak = line.used.load();
    }
  }
}

void Ledger::AddEvent(int card, uint32_t xid) {
  LockByte(lock_fd_, kEventLockByte, true);
  const uint64_t made = file_->events_made.load();
  Event& event = file_->events[made % kMaxEvents];
  event.number.store(0, std::memory_order_release);
  event.at_ns = NowRealtimeNs();
  event.card = card;
  event.xid = xid;
  event.number.store(made + 1, std::memory_order_release);
  file_->events_made.store(made + 1, std::memory_order_release);
  UnlockByte(lock_fd_, kEventLockByte);
}

}  // namespace hami::sim
