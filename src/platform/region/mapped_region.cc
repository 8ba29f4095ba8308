#include "platform/region/mapped_region.h"

#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>
#include <string_view>
#include <utility>

#include "base/fs.h"
#include "limiter/region/account.h"
#include "limiter/region/file.h"
#include "limiter/region/lock.h"
#include "limiter/region/slots.h"
#include "limiter/sys/syscall.h"
#include "platform/region/layout.h"

namespace hami::region {
namespace {

namespace core = limiter::region;
using Books = core::Account<>;

template <class T>
void Store(T& word, T value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

// Held while limits are changed: writers exclude each other, and a dead one blocks nobody.
class LimitsTurn {
 public:
  explicit LimitsTurn(int fd) : fd_(fd), mine_(core::TryLockRange(fd, HAMI_LOCK_LIMITS, 1)) {}
  ~LimitsTurn() {
    if (mine_) core::UnlockRange(fd_, HAMI_LOCK_LIMITS, 1);
  }
  LimitsTurn(const LimitsTurn&) = delete;
  LimitsTurn& operator=(const LimitsTurn&) = delete;
  bool mine() const { return mine_; }

 private:
  int fd_;
  bool mine_;
};

// Processes look again: those that wait, and those whose next launch asks for nothing else.
void Wake(HamiExtHeader& header) {
  std::atomic_ref(header.limits_wake).fetch_add(1);
  syscall(SYS_futex, &header.limits_wake, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

Result<MappedRegion> MappedRegion::Open(const std::string& path, bool may_write) {
  TRY_ASSIGN(File file, File::Open(path, may_write));
  TRY_ASSIGN(const std::string bytes, file.Read(path, HAMI_REGION_FILE_SIZE));
  auto snapshot = Decode(bytes);
  if (!snapshot) return Fail(std::move(snapshot).error().With("region " + path));
  const uint64_t size = std::min<uint64_t>(bytes.size(), HAMI_REGION_FILE_SIZE);
  if (may_write && snapshot->layout == Layout::kOwn && size < HAMI_REGION_FILE_SIZE) {
    return Fail(Code::kDataLoss, "region " + path + ": cut short: " + std::to_string(size) +
                                     " bytes long, expected " +
                                     std::to_string(HAMI_REGION_FILE_SIZE));
  }
  const int protection = may_write ? PROT_READ | PROT_WRITE : PROT_READ;
  void* map = mmap(nullptr, size, protection, MAP_SHARED, file.fd(), 0);
  if (map == MAP_FAILED) return Fail(ErrnoError("map", path, errno));
  return MappedRegion(std::move(file), static_cast<uint8_t*>(map), size, snapshot->layout);
}

MappedRegion::MappedRegion(MappedRegion&& other) noexcept
    : file_(std::move(other.file_)),
      bytes_(std::exchange(other.bytes_, nullptr)),
      size_(other.size_),
      layout_(other.layout_) {}

MappedRegion::~MappedRegion() {
  if (bytes_ != nullptr) munmap(bytes_, size_);
}

bool MappedRegion::known_block() const {
  return layout_ == Layout::kOwn && size_ >= sizeof(HamiRegion) && core::HasKnownBlock(words());
}

Snapshot MappedRegion::Look() const {
  auto snapshot = Decode({reinterpret_cast<const char*>(bytes_), size_});
  return snapshot ? std::move(*snapshot) : Snapshot{};
}

ProcessLife MappedRegion::LifeOf(const ProcessUsage& process) const {
  return region::LifeOf(file_.fd(), process);
}

Result<void> MappedRegion::Change(size_t index, const LimitChange& change) {
  const LimitsTurn turn(file_.fd());
  if (!turn.mine()) return Fail(Code::kConflict, "somebody else is changing its limits now");
  const PrefixLayout& prefix = PrefixOf(layout_);
  const auto word = [&](size_t array) -> uint64_t& {
    return reinterpret_cast<uint64_t*>(bytes_ + array)[index];
  };
  HamiExtHeader* header = known_block() ? &words().ext.header : nullptr;
  const uint64_t begun = header == nullptr ? 0 : header->limits_seq | 1;
  if (header != nullptr) Store(header->limits_seq, begun);
  if (change.memory) Store(word(prefix.limit), static_cast<uint64_t>(change.memory->value));
  if (change.cores) Store(word(prefix.sm_limit), static_cast<uint64_t>(change.cores->value));
  if (header == nullptr) return {};
  if (change.physical_share) {
    Store(header->devices[index].phys_share, static_cast<uint64_t>(change.physical_share->value));
  }
  std::atomic_ref(header->generation).fetch_add(1);
  Store(header->limits_seq, begun + 1);
  Wake(*header);
  return {};
}

// True: it was given back.
bool MappedRegion::CleanSlot(int index, Cleaned& cleaned) {
  const uint64_t byte = HAMI_LOCK_SLOTS + static_cast<uint64_t>(index);
  HamiExtSlot& slot = words().ext.slots[index];
  if (Books::LoadState(slot) == HAMI_SLOT_FREE) return false;
  ProcessUsage process{.slot = index,
                       .ours = true,
                       .state = Books::LoadState(slot),
                       .pid = slot.pid,
                       .pid_namespace = slot.pidns_inode,
                       .start_ticks = slot.start_ticks};
  // Judged before the byte is taken, which says "free" to nobody but others.
  const ProcessLife life = LifeOf(process);
  if (life == ProcessLife::kAlive || life == ProcessLife::kLockLost) return false;
  if (!core::TryLockRange(file_.fd(), byte, 1)) return false;
  const uint64_t now = limiter::sys::NowNs(CLOCK_BOOTTIME);
  const uint64_t first_free = Books::Load(slot.free_seen_ns);
  bool dead = life == ProcessLife::kDead;
  if (!dead) {
    dead = first_free != 0 && now >= first_free + core::Slots::kUnknownGraceNs;
    if (first_free == 0) Books::Store(slot.free_seen_ns, now);
    if (!dead) cleaned.unknown.push_back(index);
  }
  // The owner may have changed between the look and the lock.
  if (slot.pid != process.pid || slot.start_ticks != process.start_ticks) dead = false;
  if (dead) {
    core::ClearSlot(slot, words().v1.procs[index]);
    std::atomic_ref(words().ext.header.reaped).fetch_add(1);
    cleaned.slots.push_back(index);
  }
  core::UnlockRange(file_.fd(), byte, 1);
  return dead;
}

MappedRegion::Cleaned MappedRegion::Clean() {
  Cleaned cleaned;
  if (!known_block()) return cleaned;
  const auto count = static_cast<int>(Books::SlotCount(words()));
  for (int i = 0; i < count; ++i) CleanSlot(i, cleaned);
  for (unsigned device = 0; device < HAMI_EXT_DEVICES; ++device) {
    if (Books::Repair(words(), device).lowered) cleaned.totals.push_back(device);
  }
  return cleaned;
}

int MappedRegion::Suspend(bool suspended) {
  if (!known_block()) return 0;
  int count = 0;
  for (const ProcessUsage& process : Look().processes) {
    if (!process.ours || process.state != HAMI_SLOT_LIVE) continue;
    Store(words().v1.procs[process.slot].status,
          int32_t{suspended ? HAMI_V1_SUSPENDED : HAMI_V1_RUNNING});
    ++count;
  }
  Wake(words().ext.header);
  return count;
}

}  // namespace hami::region
