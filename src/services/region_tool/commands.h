// The commands of hami-region, each a function from what the command line says to an exit code.
// Main thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "platform/region/limits_file.h"
#include "services/region_tool/tool.h"

namespace hami::region_tool {

// Values of all flags; each command uses some.
struct Line {
  std::vector<std::string> files;
  std::vector<std::string> cards;
  std::string card, memory, physical_share, limits, region_inside, output;
  std::string policy = "default";
  int64_t priority = 1;
  int64_t cores = -1;  // not given
  bool oversubscribe = false, allow_disable_control = false, remove_files = false;
};

Result<int> CreateFiles(const Line& line, const Outside& outside);
Result<int> InspectFiles(const Line& line, const Outside& outside);
Result<int> VerifyFiles(const Line& line, const Outside& outside);
Result<int> CleanFiles(const Line& line, const Outside& outside);
Result<int> SetLimits(const Line& line, const Outside& outside);

// "GPU-aaaa:3000m:30:1500m"; cores and physical share may be left out.
Result<region::PageCard> ParseCard(const std::string& text);

}  // namespace hami::region_tool
