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

}  // namespace hami::region
