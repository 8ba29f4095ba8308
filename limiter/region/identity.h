// Who a process is, so that its death can be told (design.md decision 12): pid, start time and pid
// namespace. A pid alone says nothing: it is recycled, and means other processes elsewhere.
//
// Reads /proc; no state. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace hami::limiter::region {

struct Identity {
  int32_t pid = 0;
  uint64_t pidns_inode = 0;  // 0: /proc does not tell
  uint64_t start_ticks = 0;  // 0: /proc does not tell

  bool operator==(const Identity&) const = default;
};

enum class Life { kAlive, kDead, kUnknown };

Identity OwnIdentity();

// The process's pid as the host counts it; 0: only the node's monitor can tell.
int32_t HostPidOf(const Identity& process);

// Whether the process still runs, files included: a zombie leader whose threads still exit is
// alive. kUnknown: it lives in another pid namespace, or /proc shows another one.
Life LifeOf(const Identity& other, const Identity& self);

// Whether it is known to stand still (SIGSTOP, a debugger): nothing of it is worth waiting for.
bool IsStopped(const Identity& other, const Identity& self);

// LifeOf where no start time was recorded: whether any process of this namespace has the pid.
Life LifeOfPid(int32_t pid, const Identity& self);

// Fields of /proc/<pid>/stat. False: not of that form.
struct Stat {
  char state = '?';
  uint64_t threads = 0;
  uint64_t start_ticks = 0;
};
bool ParseStat(std::string_view text, Stat& stat);

}  // namespace hami::limiter::region
