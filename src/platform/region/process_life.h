// Whether a process of a region still lives (design.md decision 12), judged from the node: by the
// file lock of its slot, then by its identity, which a machine's own pid namespace can always look
// up.
//
// Reads /proc; no state. Any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "platform/region/region_file.h"

namespace hami::region {

enum class ProcessLife : uint8_t {
  kAlive,
  kLockLost,  // lives, but its lock is free: a daemon that closed all its descriptors
  kDead,
  kUnknown,  // in a pid namespace that cannot be seen from here
};
std::string_view LifeName(ProcessLife life);  // "alive", "alive without its lock", ...

// `fd`: the region's file, through a description that holds no lock.
ProcessLife LifeOf(int fd, const ProcessUsage& process);

// Whether /proc shows every process of the machine.
bool SeesWholeMachine();

}  // namespace hami::region
