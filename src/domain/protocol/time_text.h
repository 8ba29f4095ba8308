// RFC 3339 times, as Kubernetes objects and the node lock write them. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace hami::protocol {

// "2026-06-14T15:05:03Z", "...03.123+02:00", from 1970 to 2261; nothing else.
std::optional<WallTime> ParseRfc3339(std::string_view text);
// Whole seconds, UTC: "2026-06-14T15:05:03Z".
std::string FormatRfc3339(WallTime t);

// Days since 1970-01-01 of a civil date; nothing if there is no such day.
std::optional<int64_t> DaysOf(int year, int month, int day);

}  // namespace hami::protocol
