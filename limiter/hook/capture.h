// Streams that capture: what is launched there runs later, as a graph, and the driver forbids to
// ask or wait for them.
#pragma once

#include <atomic>
#include <cstdint>

#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

enum class Capture { kNone, kActive, kUnclear };

// Captures begun and not ended. One whose stream was destroyed stays counted: launches then ask the
// driver, which is right and a little slower.
extern constinit std::atomic<int32_t> captures_under_way;

// Whether some stream of the process captures, or may.
inline bool SomeCapture() { return captures_under_way.load(std::memory_order_relaxed) > 0; }

// Asks the driver only while some stream of the process captures.
Capture CaptureIs(CUstream stream, bool per_thread);

}  // namespace hami::limiter::hook
