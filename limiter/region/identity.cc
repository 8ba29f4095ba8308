#include "limiter/region/identity.h"

#include <cerrno>

#include "limiter/sys/syscall.h"
#include "limiter/sys/text.h"

namespace hami::limiter::region {
namespace {

// Number of characters read into `buffer`; negative: no such process or no /proc.
long ReadStat(int32_t pid, char* buffer, size_t size) {
  sys::Text<48> path;
  path.Add("/proc/").Add(static_cast<uint64_t>(pid)).Add("/stat");
  const int fd = sys::Open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fd;
  const long count = sys::Read(fd, buffer, size);
  sys::Close(fd);
  return count;
}

uint64_t TakeNumber(std::string_view& text) {
  uint64_t value = 0;
  while (!text.empty() && text.front() >= '0' && text.front() <= '9') {
    value = value * 10 + static_cast<uint64_t>(text.front() - '0');
    text.remove_prefix(1);
  }
  return value;
}

// /proc can be mounted for another pid namespace; then its numbers are not ours.
bool ProcShowsOwnNamespace(int32_t own_pid) {
  char link[24];
  const long count = sys::ReadLink("/proc/self", link, sizeof link);
  if (count <= 0) return false;
  std::string_view text(link, static_cast<size_t>(count));
  return TakeNumber(text) == static_cast<uint64_t>(own_pid);
}

// Whether anything runs under the pid; kAlive fills `stat`.
Life ReadLife(int32_t pid, Stat& stat) {
  char buffer[512];
  const long count = ReadStat(pid, buffer, sizeof buffer);
  if (count == -ENOENT || count == -ESRCH || count == 0) return Life::kDead;
  if (count < 0 || !ParseStat({buffer, static_cast<size_t>(count)}, stat)) return Life::kUnknown;
  // The leader becomes a zombie before its last thread has closed the process's files, and the
  // driver frees memory when they close.
  const bool ended = stat.state == 'Z' || stat.state == 'X' || stat.state == 'x';
  return ended && stat.threads <= 1 ? Life::kDead : Life::kAlive;
}

}  // namespace

bool ParseStat(std::string_view text, Stat& stat) {
  // The second field is the program's name in parentheses and may contain anything, also ')'.
  const size_t close = text.rfind(')');
  if (close == std::string_view::npos) return false;
  text.remove_prefix(close + 1);
  int field = 2;
  while (!text.empty()) {
    if (text.front() != ' ') {
      text.remove_prefix(1);
      continue;
    }
    text.remove_prefix(1);
    ++field;
    if (text.empty()) return false;
    if (field == 3) stat.state = text.front();
    if (field == 20) stat.threads = TakeNumber(text);
    if (field == 22) {
      stat.start_ticks = TakeNumber(text);
      return true;
    }
  }
  return false;
}

Identity OwnIdentity() {
  Identity self;
  self.pid = sys::GetPid();
  if (!ProcShowsOwnNamespace(self.pid)) return self;
  char buffer[512];
  long count = sys::ReadLink("/proc/self/ns/pid", buffer, sizeof buffer);
  if (count > 0) {
    std::string_view text(buffer, static_cast<size_t>(count));
    const size_t open = text.find('[');
    if (open != std::string_view::npos) {
      text.remove_prefix(open + 1);
      self.pidns_inode = TakeNumber(text);
    }
  }
  Stat stat;
  count = ReadStat(self.pid, buffer, sizeof buffer);
  if (count > 0 && ParseStat({buffer, static_cast<size_t>(count)}, stat)) {
    self.start_ticks = stat.start_ticks;
  }
  return self;
}

int32_t HostPidOf(const Identity& process) {
  constexpr uint64_t kInitialPidNamespace = 4026531836;  // the kernel's PROC_PID_INIT_INO
  return process.pidns_inode == kInitialPidNamespace ? process.pid : 0;
}

Life LifeOf(const Identity& other, const Identity& self) {
  if (other.pidns_inode == 0 || other.pidns_inode != self.pidns_inode || other.start_ticks == 0) {
    return Life::kUnknown;
  }
  Stat stat;
  const Life life = ReadLife(other.pid, stat);
  return life == Life::kAlive && stat.start_ticks != other.start_ticks ? Life::kDead : life;
}

bool IsStopped(const Identity& other, const Identity& self) {
  if (other.pidns_inode == 0 || other.pidns_inode != self.pidns_inode) return false;
  Stat stat;
  return ReadLife(other.pid, stat) == Life::kAlive && stat.start_ticks == other.start_ticks &&
         (stat.state == 'T' || stat.state == 't');
}

Life LifeOfPid(int32_t pid, const Identity& self) {
  if (self.pidns_inode == 0) return Life::kUnknown;
  Stat stat;
  return ReadLife(pid, stat);
}

}  // namespace hami::limiter::region
