#include "platform/region/process_life.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "abi/region.h"
#include "base/fs.h"
#include "limiter/region/identity.h"
#include "limiter/region/lock.h"

namespace hami::region {
namespace {

namespace core = limiter::region;

constexpr uint64_t kInitialPidNamespace = 4026531836;

bool LockIsFree(int fd, int slot) {
  struct flock range = {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(HAMI_LOCK_SLOTS) + slot;
  range.l_len = 1;
  return fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type == F_UNLCK;
}

uint64_t InodeOf(const std::string& path) {
  struct stat status = {};
  return stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
}

// Last number of the line "NSpid: 4242 17 3" of /proc/<pid>/status: the pid in its own namespace.
std::optional<int> InnermostPid(const std::string& folder) {
  const auto text = RealFileSystem().Read(folder + "/status");
  if (!text) return std::nullopt;
  const size_t line = text->find("\nNSpid:");
  if (line == std::string::npos) return std::nullopt;
  const size_t end = text->find('\n', line + 1);
  const size_t last = text->find_last_of(" \t", end);
  int pid = 0;
  const char* begin = text->data() + last + 1;
  std::from_chars(begin, text->data() + std::min(end, text->size()), pid);
  return pid;
}

uint64_t StartTicks(const std::string& folder) {
  const auto text = RealFileSystem().Read(folder + "/stat");
  core::Stat stat;
  return text && core::ParseStat(*text, stat) ? stat.start_ticks : 0;
}

struct CloseFolder {
  void operator()(DIR* folder) const { closedir(folder); }
};

// Looks among all processes that /proc shows.
bool IsAmongThem(const ProcessUsage& process) {
  const std::unique_ptr<DIR, CloseFolder> proc(opendir("/proc"));
  if (proc == nullptr) return false;
  while (const dirent* entry = readdir(proc.get())) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    const std::string folder = std::string("/proc/") + entry->d_name;
    if (InodeOf(folder + "/ns/pid") != process.pid_namespace) continue;
    if (InnermostPid(folder) == process.pid && StartTicks(folder) == process.start_ticks) {
      return true;
    }
  }
  return false;
}

ProcessLife ByIdentity(const ProcessUsage& process) {
  const core::Identity owner{process.pid, process.pid_namespace, process.start_ticks};
  switch (core::LifeOf(owner, core::OwnIdentity())) {
    case core::Life::kAlive:
      return ProcessLife::kLockLost;
    case core::Life::kDead:
      return ProcessLife::kDead;
    case core::Life::kUnknown:
      break;
  }
  if (process.pid_namespace == 0 || process.start_ticks == 0) return ProcessLife::kUnknown;
  if (IsAmongThem(process)) return ProcessLife::kLockLost;
  return SeesWholeMachine() ? ProcessLife::kDead : ProcessLife::kUnknown;
}

// A reference's process is known by its pid alone, if the host's is known.
ProcessLife ReferencesLife(const ProcessUsage& process) {
  if (process.host_pid <= 0 || !SeesWholeMachine()) return ProcessLife::kUnknown;
  return InodeOf("/proc/" + std::to_string(process.host_pid)) != 0 ? ProcessLife::kAlive
                                                                   : ProcessLife::kDead;
}

}  // namespace

std::string_view LifeName(ProcessLife life) {
  switch (life) {
    case ProcessLife::kAlive:
      return "alive";
    case ProcessLife::kLockLost:
      return "alive without its lock";
    case ProcessLife::kDead:
      return "dead";
    case ProcessLife::kUnknown:
      return "unknown";
  }
  return "?";
}

bool SeesWholeMachine() {
  return InodeOf("/proc/1/ns/pid") == kInitialPidNamespace &&
         InodeOf("/proc/self/ns/pid") == kInitialPidNamespace;
}

ProcessLife LifeOf(int fd, const ProcessUsage& process) {
  if (!process.ours) return ReferencesLife(process);
  if (!LockIsFree(fd, process.slot)) return ProcessLife::kAlive;
  if (process.state == HAMI_SLOT_CLAIMING || process.state == HAMI_SLOT_REAPING) {
    return ProcessLife::kDead;
  }
  return ByIdentity(process);
}

}  // namespace hami::region
