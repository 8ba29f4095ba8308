// The reference's tool for its shared region, by its name and flags: shrreg-tool --print, ... Works
// on the region that the environment of this process names, as in a container. Main thread.
#pragma once

#include "base/result.h"
#include "services/region_tool/tool.h"

namespace hami::region_tool {

Result<int> RunShrregTool(int argc, const char* const* argv, const Outside& outside);

}  // namespace hami::region_tool
