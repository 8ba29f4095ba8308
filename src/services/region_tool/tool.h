// hami-region: the command line for the files in which a container's limiter keeps its limits and
// its account. Also answers to the reference's name of its tool, shrreg-tool (shrreg.h).
//
// Main thread of a tool. Everything it needs of the outside comes in, so that tests need no
// process.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hami::region_tool {

enum ExitCode : int {
  kExitOk = 0,
  kExitNo = 1,     // the answer is no: a check failed, something is there already or in use
  kExitUsage = 2,  // wrong command line
  kExitFile = 3,   // a file cannot be read, written, or is not what it should be
};

struct Outside {
  std::function<void(std::string_view)> out;
  std::function<void(std::string_view)> err;
  const Clock* clock = nullptr;
};

// The whole program; the name it was called by decides which. Returns the exit code.
int RunRegionTool(int argc, const char* const* argv, const Outside& outside);

// Standard output, the machine's clock.
int RunRegionTool(int argc, const char* const* argv);

}  // namespace hami::region_tool
