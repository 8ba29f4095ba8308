// Durations as Go's flags and Helm values write them: "5m", "28s", "1h30m", "100ms". No threads.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace hami {

// Errors: kInvalidArgument. "0" needs no unit.
Result<Duration> ParseDuration(std::string_view text);
// Go's Duration.String(): "5m0s", "28s", "1.5s".
std::string FormatDuration(Duration d);

}  // namespace hami
