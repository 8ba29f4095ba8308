// What a user of hami-region writes for a size, a percentage, a policy, a card. Pure; any thread.
//
// Errors are kInvalidArgument and name the flag, the value and what was expected.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/units.h"
#include "platform/region/limits_file.h"

namespace hami::region_tool {

// A command line that means nothing: exit code 2.
Error Usage(std::string message);

// `what` begins the message of an error. 0 is no limit; above it at least 1 MiB.
Result<Bytes> ParseBytes(const std::string& what, std::string_view text);
// 0 to 100.
Result<Percent> ParseCores(const std::string& what, int64_t percent);
// Empty is default.
Result<region::CorePolicy> ParsePolicy(std::string_view text);
// "GPU-aaaa:3000m:30:1500m"; cores and physical share may be left out.
Result<region::PageCard> ParseCard(const std::string& text);

}  // namespace hami::region_tool
