#include "limiter/region/file.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include "abi/region_init.h"
#include "limiter/region/identity.h"
#include "limiter/region/lock.h"
#include "limiter/sys/syscall.h"

namespace hami::limiter::region {
namespace {

constexpr int kLowestLockFd = 500;
constexpr uint64_t kCreationWaitNs = 5'000'000'000;

struct Fd {
  explicit Fd(int number) : value(number) {}
  ~Fd() {
    if (value >= 0) sys::Close(value);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int Take() {
    const int taken = value;
    value = -1;
    return taken;
  }
  int value;
};

int OpenFile(const char* path, int extra_flags) {
  return sys::Open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC | extra_flags, 0666);
}

// Existing file, or a new one that every user of the container may write whatever the umask is.
int OpenOrCreate(const char* path) {
  int fd = OpenFile(path, 0);
  if (fd != -ENOENT) return fd;
  fd = OpenFile(path, O_CREAT | O_EXCL);
  if (fd == -EEXIST) return OpenFile(path, 0);
  if (fd >= 0) sys::Chmod(fd, 0666);
  return fd;
}

int64_t SizeOf(int fd) {
  struct stat status;
  const int result = sys::Stat(fd, &status);
  if (result < 0) return result;
  return S_ISREG(status.st_mode) ? status.st_size : -EINVAL;
}

bool SameFile(int a, int b) {
  struct stat left, right;
  return sys::Stat(a, &left) == 0 && sys::Stat(b, &right) == 0 && left.st_dev == right.st_dev &&
         left.st_ino == right.st_ino;
}

// Space up front, so that a full disk is an error here and not a SIGBUS at the first write.
int Reserve(int fd, int64_t size) {
  const int result = sys::Allocate(fd, HAMI_REGION_FILE_SIZE);
  if (result != -EOPNOTSUPP && result != -ENOSYS) return result;
  char zeros[4096] = {};
  for (int64_t at = size; at < HAMI_REGION_FILE_SIZE;) {
    const auto count = static_cast<size_t>(4096 - at % 4096);
    const long written =
        sys::Syscall(SYS_pwrite64, fd, sys::Word(zeros), static_cast<long>(count), at);
    if (written <= 0) return written < 0 ? static_cast<int>(written) : -ENOSPC;
    at += written;
  }
  return 0;
}

HamiRegion* MapFile(int fd) {
  return static_cast<HamiRegion*>(
      sys::Map(HAMI_REGION_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd));
}

int32_t Magic(HamiRegion& region) {
  return std::atomic_ref(region.v1.initialized_flag).load(std::memory_order_acquire);
}

// Nothing to make: magic and block are there.
bool IsReady(HamiRegion& region) {
  return Magic(region) == HAMI_V1_MAGIC && region.v1.major_version == HAMI_V1_MAJOR &&
         HasKnownBlock(region);
}

void ReadBootId(uint8_t (&id)[16]) {
  char text[40] = {};
  const Fd fd(sys::Open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (fd.value < 0 || sys::Read(fd.value, text, sizeof text - 1) <= 0) return;
  size_t nibble = 0;
  for (char c : text) {
    int value = -1;
    if (c >= '0' && c <= '9') value = c - '0';
    if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
    if (value < 0 || nibble >= 32) continue;
    id[nibble / 2] = static_cast<uint8_t>(id[nibble / 2] << 4 | value);
    ++nibble;
  }
}

// A file of the reference: keeps limits, cards and switches, and drops slots of ended processes.
void Adopt(HamiRegion& region) {
  const Identity self = OwnIdentity();
  const int32_t used = region.v1.proc_num;
  for (int32_t i = 0; i < used && i < HAMI_V1_SLOTS; ++i) {
    HamiV1Slot& slot = region.v1.procs[i];
    if (slot.pid > 0 && LifeOfPid(slot.pid, self) == Life::kDead) memset(&slot, 0, sizeof slot);
  }
  uint8_t boot_id[16] = {};
  ReadBootId(boot_id);
  HamiInitBlock(&region, boot_id);
}

// Under the creation lock: makes what is missing. 0 or a negated error number.
int Complete(int fd, const Creation& creation) {
  int64_t size = SizeOf(fd);
  if (size < 0) return static_cast<int>(size);
  int32_t magic = 0;
  const long got = sys::Syscall(SYS_pread64, fd, sys::Word(&magic), sizeof magic, 0);
  if (got == sizeof magic && magic != 0 && magic != HAMI_V1_MAGIC) return -EINVAL;
  if (magic == HAMI_V1_MAGIC && size < HAMI_V1_SIZE) return -EINVAL;
  if (size < HAMI_REGION_FILE_SIZE) {
    const int result = Reserve(fd, size);
    if (result < 0) return result;
  }
  HamiRegion* region = MapFile(fd);
  if (region == nullptr) return -ENOMEM;
  int result = 0;
  if (Magic(*region) != HAMI_V1_MAGIC) {
    InitialiseRegion(*region, creation);
  } else if (region->v1.major_version != HAMI_V1_MAJOR) {
    result = -EINVAL;
  } else if (region->ext.header.ext_magic != HAMI_EXT_MAGIC) {
    Adopt(*region);
  } else if (!HasKnownBlock(*region)) {
    result = -EINVAL;
  }
  sys::Unmap(region, HAMI_REGION_FILE_SIZE);
  return result;
}

// Creators of both kinds exclude each other by a lock over the prefix (spec C2).
int CompleteLocked(int lock_fd, const Creation& creation) {
  const uint64_t start = sys::NowNs(CLOCK_MONOTONIC);
  while (!TryLockRange(lock_fd, 0, HAMI_V1_SIZE)) {
    if (sys::NowNs(CLOCK_MONOTONIC) - start > kCreationWaitNs) return -EBUSY;
    sys::SleepNs(200'000);
  }
  const int result = Complete(lock_fd, creation);
  UnlockRange(lock_fd, 0, HAMI_V1_SIZE);
  return result;
}

}  // namespace

bool HasKnownBlock(const HamiRegion& region) {
  const HamiExtHeader& header = region.ext.header;
  return std::atomic_ref(const_cast<uint64_t&>(header.ext_magic)).load() == HAMI_EXT_MAGIC &&
         header.ext_major == HAMI_EXT_MAJOR && header.slot_stride == sizeof(HamiExtSlot) &&
         header.slots_offset == HAMI_EXT_SLOTS_OFFSET && header.slot_count == HAMI_EXT_SLOTS &&
         header.device_stride == sizeof(HamiExtDevice) &&
         header.devices_offset == offsetof(HamiExtHeader, devices);
}

void InitialiseRegion(HamiRegion& region, const Creation& creation) {
  HamiRegionSeed seed = {};
  for (size_t i = 0; i < HAMI_V1_DEVICES; ++i) {
    seed.memory_limit[i] = creation.memory_limit[i];
    seed.sm_percent[i] = creation.sm_percent[i];
  }
  seed.priority = creation.priority;
  seed.unix_seconds = sys::NowNs(CLOCK_REALTIME) / 1'000'000'000;
  ReadBootId(seed.boot_id);
  HamiInitRegion(&region, &seed);
  std::atomic_ref(region.v1.initialized_flag).store(HAMI_V1_MAGIC, std::memory_order_release);
}

int OpenLock(const char* path) {
  Fd fd(OpenFile(path, 0));
  if (fd.value < 0) return fd.value;
  const int high = sys::DuplicateAbove(fd.value, kLowestLockFd);
  return high >= 0 ? high : fd.Take();
}

Opened OpenRegion(const char* path, const Creation& creation) {
  Opened opened;
  Fd map_fd(OpenOrCreate(path));
  opened.error = map_fd.value;
  if (map_fd.value < 0) return opened;
  Fd lock_fd(OpenLock(path));
  opened.error = lock_fd.value;
  if (lock_fd.value < 0) return opened;
  opened.error = -ESTALE;
  if (!SameFile(map_fd.value, lock_fd.value)) return opened;
  if (SizeOf(map_fd.value) >= HAMI_REGION_FILE_SIZE) opened.region = MapFile(map_fd.value);
  if (opened.region == nullptr || !IsReady(*opened.region)) {
    opened.error = CompleteLocked(lock_fd.value, creation);
    if (opened.error == 0 && opened.region == nullptr) opened.region = MapFile(map_fd.value);
    if (opened.error != 0 && opened.region != nullptr) {
      sys::Unmap(opened.region, HAMI_REGION_FILE_SIZE);
      opened.region = nullptr;
    }
    if (opened.region == nullptr) return opened;
  }
  opened.error = 0;
  opened.lock_fd = lock_fd.Take();
  return opened;
}

StatedLimits ReadLimits(const char* path) {
  StatedLimits limits;
  const Fd fd(sys::Open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (fd.value < 0 || SizeOf(fd.value) < HAMI_V1_SIZE) return limits;
  const auto read = [&](size_t offset, void* to, size_t size) {
    const long got = sys::Syscall(SYS_pread64, fd.value, sys::Word(to), static_cast<long>(size),
                                  static_cast<long>(offset));
    return got == static_cast<long>(size);
  };
  uint32_t head[2] = {};  // magic and major version
  if (!read(0, head, sizeof head) || head[0] != HAMI_V1_MAGIC || head[1] != HAMI_V1_MAJOR ||
      !read(offsetof(HamiV1Region, limit), limits.memory.data(), sizeof limits.memory) ||
      !read(offsetof(HamiV1Region, sm_limit), limits.sm_percent.data(), sizeof limits.sm_percent)) {
    return {};
  }
  return limits;
}

Opened AnonymousRegion(const Creation& creation) {
  Opened opened;
  opened.region = static_cast<HamiRegion*>(
      sys::Map(HAMI_REGION_FILE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1));
  if (opened.region == nullptr) {
    opened.error = -ENOMEM;
  } else {
    InitialiseRegion(*opened.region, creation);
  }
  return opened;
}

}  // namespace hami::limiter::region
