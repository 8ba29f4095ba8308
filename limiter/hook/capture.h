// Streams that capture: what is launched there runs later, as a graph, and the driver forbids to
// ask or wait for them.
#pragma once

#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

enum class Capture { kNone, kActive, kUnclear };

// Asks the driver only while some stream of the process captures.
Capture CaptureIs(CUstream stream, bool per_thread);

}  // namespace hami::limiter::hook
