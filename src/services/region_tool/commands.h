// The commands of hami-region, each a function from what the command line says to an exit code.
// Main thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "services/region_tool/tool.h"

namespace hami::region_tool {

// Values of all flags; each command uses some.
struct Line {
  std::vector<std::string> files;
  std::vector<std::string> cards;
  std::string memory, physical_share, limits, region_inside, policy, output;
  int64_t priority = 1;
  int64_t cores = -1;  // not given
  bool oversubscribe = false, allow_disable_control = false, remove_files = false;
};

Result<int> CreateFiles(const Line& line, const Outside& outside);
Result<int> InspectFiles(const Line& line, const Outside& outside);
Result<int> VerifyFiles(const Line& line, const Outside& outside);
Result<int> CleanFiles(const Line& line, const Outside& outside);
Result<int> SetLimits(const Line& line, const Outside& outside);

// Runs `act` on each file; all of them, whatever becomes of one. False is exit code 1.
Result<int> ForEachFile(const Line& line, const Outside& outside,
                        const std::function<Result<bool>(const std::string&)>& act);

}  // namespace hami::region_tool
