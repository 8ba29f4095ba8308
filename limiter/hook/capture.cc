#include "limiter/hook/capture.h"

#include "limiter/hook/prologue.h"

namespace hami::limiter::hook {

constinit std::atomic<int32_t> captures_under_way{0};

namespace {

CUresult Begun(CUresult result) {
  if (result == CUDA_SUCCESS) captures_under_way.fetch_add(1, std::memory_order_relaxed);
  return result;
}
// Also a failed end ends an invalidated capture.
CUresult Ended(CUresult result) {
  int32_t seen = captures_under_way.load(std::memory_order_relaxed);
  while (seen > 0 && !captures_under_way.compare_exchange_weak(seen, seen - 1)) {
  }
  return result;
}

}  // namespace

Capture CaptureIs(CUstream stream, bool per_thread) {
  if (!SomeCapture()) return Capture::kNone;
  auto ask = HAMI_REAL(cuStreamIsCapturing);
  const auto ask_per_thread = HAMI_REAL(cuStreamIsCapturing_ptsz);
  if (per_thread && ask_per_thread != nullptr) ask = ask_per_thread;
  int status = 0;
  if (ask == nullptr || ask(stream, &status) != CUDA_SUCCESS) return Capture::kUnclear;
  return status == 0 ? Capture::kNone : Capture::kActive;
}

}  // namespace hami::limiter::hook

using namespace hami::limiter::hook;  // NOLINT: only exported C functions below

#define HAMI_CAPTURE_HOOK(name, after, parameters, arguments) \
  extern "C" CUresult name parameters {                       \
    const auto real = HAMI_REAL(name);                        \
    if (real == nullptr) return CUDA_ERROR_NOT_FOUND;         \
    return after(real arguments);                             \
  }
#define HAMI_CAPTURE_FORMS(name, after, parameters, arguments) \
  HAMI_CAPTURE_HOOK(name, after, parameters, arguments)        \
  HAMI_CAPTURE_HOOK(name##_ptsz, after, parameters, arguments)

HAMI_CAPTURE_FORMS(cuStreamBeginCapture, Begun, (CUstream stream), (stream))
HAMI_CAPTURE_FORMS(cuStreamBeginCapture_v2, Begun, (CUstream stream, int mode), (stream, mode))
HAMI_CAPTURE_FORMS(cuStreamBeginCaptureToGraph, Begun,
                   (CUstream stream, CUgraph graph, const void* dependencies, const void* data,
                    size_t count, int mode),
                   (stream, graph, dependencies, data, count, mode))
HAMI_CAPTURE_FORMS(cuStreamEndCapture, Ended, (CUstream stream, CUgraph* graph), (stream, graph))
