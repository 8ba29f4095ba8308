// Times as Kubernetes objects carry them. Values, no threads.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace hami::kube {

// metav1.Time: "2026-01-02T03:04:05Z".
std::string FormatTime(WallTime t);
// metav1.MicroTime: "2026-01-02T03:04:05.000006Z".
std::string FormatMicroTime(WallTime t);
// RFC 3339 with optional fraction and offset. Errors: kInvalidArgument.
Result<WallTime> ParseTime(std::string_view text);

}  // namespace hami::kube
