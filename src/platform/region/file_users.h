// Who on this machine could still need a region's file: processes that map it, and containers that
// have its folder mounted and may start a process at any time.
//
// Reads /proc; no state. Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace hami::region {

// Pids, in the order of /proc. kFailedPrecondition: not every process can be seen from here, so
// nobody can tell.
Result<std::vector<int>> UsersOf(const std::string& path);

// Why not every process can be seen; "" = they can. `init_error`: errno of a look at
// /proc/1/ns/pid, 0 = it could be looked at.
std::string WhyHidden(bool root, int init_error, bool machines_namespace);

}  // namespace hami::region
