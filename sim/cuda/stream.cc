// Streams, events, and the work that takes time.
#include "sim/core/timeline.h"
#include "sim/cuda/driver.h"

namespace hami::sim {

int ResolveStream(CudaStream* handle, bool per_thread, Context* context, CudaStream** stream) {
  const auto value = reinterpret_cast<uintptr_t>(handle);
  constexpr uintptr_t kLegacy = 1, kPerThread = 2;
  if (value <= kPerThread) {
    const bool thread = value == kPerThread || (value == 0 && per_thread && value != kLegacy);
    *stream = thread ? &context->thread_stream : &context->legacy_stream;
    return kCudaSuccess;
  }
  if (!IsLive(handle)) return kCudaInvalidHandle;
  *stream = handle;
  return kCudaSuccess;
}

namespace {

void RaiseTo(std::atomic<int64_t>& value, int64_t at_least) {
  int64_t old = value.load(std::memory_order_relaxed);
  while (old < at_least && !value.compare_exchange_weak(old, at_least)) {
  }
}

// Queues one kernel; waits while the process has kQueueDepth of them under way on the card.
int Run(Driver& driver, CudaStream* stream, int64_t duration_ns) {
  const int card = stream->context->card;
  LaunchQueue& queue = driver.queue(card);
  const uint64_t number = queue.launched.fetch_add(1, std::memory_order_relaxed);
  std::atomic<int64_t>& done = queue.done_ns[number % kQueueDepth];
  if (const int64_t before = done.load(std::memory_order_relaxed); before != 0) SleepUntil(before);
  const int64_t ready = stream->not_before_ns.load(std::memory_order_relaxed);
  const int64_t end =
      QueueWork(*driver.ledger().file(), driver.ledger().slot(), card, duration_ns, ready);
  done.store(end, std::memory_order_relaxed);
  RaiseTo(stream->last_done_ns, end);
  return kCudaSuccess;
}

int Launch(Driver& driver, void* function, const uint32_t (&grid)[3], const uint32_t (&block)[3],
           CudaStream* handle, bool per_thread) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  const auto duration = reinterpret_cast<uintptr_t>(function);
  if (duration == 0) return kCudaInvalidHandle;
  const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0 || threads == 0 || threads > 1024 ||
      grid[1] > 65535 || grid[2] > 65535) {
    return kCudaInvalidValue;
  }
  constexpr uintptr_t kSmallestDuration = 4096;  // spec libvgpu.md D1
  const int64_t ns = duration >= kSmallestDuration
                         ? static_cast<int64_t>(duration)
                         : static_cast<int64_t>(driver.card(stream->context->card).kernel_ns);
  return Run(driver, stream, ns);
}

int Synchronize(CudaStream* stream) {
  SleepUntil(stream->last_done_ns.load(std::memory_order_relaxed));
  TrimPools(stream->context->card);
  return kCudaSuccess;
}

int64_t DoneOnCard(Driver& driver, int card) {
  const Ledger& ledger = driver.ledger();
  return ledger.file()->rings[ledger.slot()][card].last_done_ns.load(std::memory_order_relaxed);
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

// A function and its _ptsz form, whose null stream is the thread's own.
#define SIM_STREAM_FORMS(name, parameters, arguments) \
  SIM_CUDA name parameters {                          \
    SIM_CUDA_CALL(name);                              \
    return name##Form(driver, false, arguments);      \
  }                                                   \
  SIM_CUDA name##_ptsz parameters {                   \
    SIM_CUDA_CALL(name##_ptsz);                       \
    return name##Form(driver, true, arguments);       \
  }
#define SIM_ARGS(...) __VA_ARGS__

namespace {

int cuStreamSynchronizeForm(Driver&, bool per_thread, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  const int code = ResolveStream(handle, per_thread, context, &stream);
  return code != 0 ? code : Synchronize(stream);
}

int cuStreamQueryForm(Driver&, bool per_thread, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  return NowMonotonicNs() >= stream->last_done_ns.load() ? kCudaSuccess : kCudaNotReady;
}

int cuStreamWaitEventForm(Driver&, bool per_thread, CudaStream* handle, CudaEvent* event,
                          unsigned) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  if (!IsLive(event)) return kCudaInvalidHandle;
  RaiseTo(stream->not_before_ns, event->time_ns.load());
  RaiseTo(stream->last_done_ns, event->time_ns.load());
  return kCudaSuccess;
}

int cuStreamGetFlagsForm(Driver&, bool per_thread, CudaStream* handle, unsigned* flags) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(flags);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *flags = stream->flags;
  return kCudaSuccess;
}

int cuStreamGetPriorityForm(Driver&, bool per_thread, CudaStream* handle, int* priority) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(priority);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *priority = stream->priority;
  return kCudaSuccess;
}

int cuStreamGetIdForm(Driver&, bool per_thread, CudaStream* handle, uint64_t* id) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(id);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *id = stream->id;
  return kCudaSuccess;
}

int cuStreamGetCtxForm(Driver&, bool per_thread, CudaStream* handle, Context** out) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *out = stream->context;
  return kCudaSuccess;
}

// Nothing captures yet (sim/README.md, limits).
int cuStreamIsCapturingForm(Driver&, bool per_thread, CudaStream* handle, int* status) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(status);
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  *status = 0;
  return kCudaSuccess;
}

int cuEventRecordForm(Driver&, bool per_thread, CudaEvent* event, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  if (const int code = ResolveStream(handle, per_thread, context, &stream); code != 0) return code;
  if (!IsLive(event)) return kCudaInvalidHandle;
  const int64_t now = NowMonotonicNs();
  const int64_t done = stream->last_done_ns.load();
  event->time_ns.store(now > done ? now : done);
  return kCudaSuccess;
}

int cuLaunchKernelForm(Driver& driver, bool per_thread, void* function, unsigned grid_x,
                       unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                       unsigned block_z, CudaStream* stream) {
  return Launch(driver, function, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, stream,
                per_thread);
}
constexpr auto cuLaunchCooperativeKernelForm = cuLaunchKernelForm;

int cuLaunchKernelExForm(Driver& driver, bool per_thread, const CudaLaunchConfig* config,
                         void* function) {
  SIM_CUDA_OUT(config);
  return Launch(driver, function, config->grid, config->block, config->stream, per_thread);
}

}  // namespace

SIM_STREAM_FORMS(cuStreamSynchronize, (CudaStream * stream), SIM_ARGS(stream))
SIM_STREAM_FORMS(cuStreamQuery, (CudaStream * stream), SIM_ARGS(stream))
SIM_STREAM_FORMS(cuStreamWaitEvent, (CudaStream * stream, CudaEvent* event, unsigned flags),
                 SIM_ARGS(stream, event, flags))
SIM_STREAM_FORMS(cuStreamGetFlags, (CudaStream * stream, unsigned* flags), SIM_ARGS(stream, flags))
SIM_STREAM_FORMS(cuStreamGetPriority, (CudaStream * stream, int* priority),
                 SIM_ARGS(stream, priority))
SIM_STREAM_FORMS(cuStreamGetId, (CudaStream * stream, uint64_t* id), SIM_ARGS(stream, id))
SIM_STREAM_FORMS(cuStreamGetCtx, (CudaStream * stream, Context** out), SIM_ARGS(stream, out))
SIM_STREAM_FORMS(cuStreamIsCapturing, (CudaStream * stream, int* status), SIM_ARGS(stream, status))
SIM_STREAM_FORMS(cuEventRecord, (CudaEvent * event, CudaStream* stream), SIM_ARGS(event, stream))
SIM_STREAM_FORMS(cuLaunchKernel,
                 (void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned, CudaStream* stream, void**, void**),
                 SIM_ARGS(function, gx, gy, gz, bx, by, bz, stream))
SIM_STREAM_FORMS(cuLaunchCooperativeKernel,
                 (void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned, CudaStream* stream, void**),
                 SIM_ARGS(function, gx, gy, gz, bx, by, bz, stream))
SIM_STREAM_FORMS(cuLaunchKernelEx, (const CudaLaunchConfig* config, void* function, void**, void**),
                 SIM_ARGS(config, function))

SIM_CUDA cuStreamCreateWithPriority(CudaStream** out, unsigned flags, int priority) {
  SIM_CUDA_CALL(cuStreamCreateWithPriority);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  if (flags > 1) return kCudaInvalidValue;
  auto* stream = driver.New<CudaStream>();
  if (stream == nullptr) return kCudaOutOfMemory;
  stream->context = context;
  stream->flags = flags;
  stream->priority = priority < -5 ? -5 : priority > 0 ? 0 : priority;
  *out = stream;
  return kCudaSuccess;
}
SIM_CUDA cuStreamCreate(CudaStream** out, unsigned flags) {
  return cuStreamCreateWithPriority(out, flags, 0);
}

SIM_CUDA cuStreamDestroy_v2(CudaStream* stream) {
  SIM_CUDA_CALL(cuStreamDestroy_v2);
  if (reinterpret_cast<uintptr_t>(stream) <= 2 || !IsLive(stream)) return kCudaInvalidHandle;
  driver.Delete(stream);
  return kCudaSuccess;
}
SIM_CUDA cuStreamDestroy(CudaStream* stream) { return cuStreamDestroy_v2(stream); }

SIM_CUDA cuThreadExchangeStreamCaptureMode(int* mode) {
  SIM_CUDA_CALL(cuThreadExchangeStreamCaptureMode);
  SIM_CUDA_OUT(mode);
  static __thread int t_mode = 0;
  const int old = t_mode;
  t_mode = *mode;
  *mode = old;
  return kCudaSuccess;
}

SIM_CUDA cuCtxSynchronize() {
  SIM_CUDA_CALL(cuCtxSynchronize);
  SIM_CUDA_CONTEXT();
  SleepUntil(DoneOnCard(driver, context->card));
  TrimPools(context->card);
  return kCudaSuccess;
}

SIM_CUDA cuEventCreate(CudaEvent** out, unsigned flags) {
  SIM_CUDA_CALL(cuEventCreate);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  auto* event = driver.New<CudaEvent>();
  if (event == nullptr) return kCudaOutOfMemory;
  event->flags = flags;
  *out = event;
  return kCudaSuccess;
}

SIM_CUDA cuEventDestroy_v2(CudaEvent* event) {
  SIM_CUDA_CALL(cuEventDestroy_v2);
  if (!IsLive(event)) return kCudaInvalidHandle;
  driver.Delete(event);
  return kCudaSuccess;
}
SIM_CUDA cuEventDestroy(CudaEvent* event) { return cuEventDestroy_v2(event); }

SIM_CUDA cuEventQuery(CudaEvent* event) {
  SIM_CUDA_CALL(cuEventQuery);
  if (!IsLive(event)) return kCudaInvalidHandle;
  return NowMonotonicNs() >= event->time_ns.load() ? kCudaSuccess : kCudaNotReady;
}

SIM_CUDA cuEventSynchronize(CudaEvent* event) {
  SIM_CUDA_CALL(cuEventSynchronize);
  if (!IsLive(event)) return kCudaInvalidHandle;
  SleepUntil(event->time_ns.load());
  return kCudaSuccess;
}

SIM_CUDA cuEventElapsedTime(float* milliseconds, CudaEvent* start, CudaEvent* end) {
  SIM_CUDA_CALL(cuEventElapsedTime);
  SIM_CUDA_OUT(milliseconds);
  constexpr unsigned kNoTiming = 2;
  if (!IsLive(start) || !IsLive(end)) return kCudaInvalidHandle;
  const int64_t from = start->time_ns.load();
  const int64_t to = end->time_ns.load();
  if (from == 0 || to == 0 || ((start->flags | end->flags) & kNoTiming) != 0) {
    return kCudaInvalidHandle;
  }
  const int64_t now = NowMonotonicNs();
  if (now < from || now < to) return kCudaNotReady;
  *milliseconds = static_cast<float>(static_cast<double>(to - from) / 1e6);
  return kCudaSuccess;
}
SIM_CUDA cuEventElapsedTime_v2(float* milliseconds, CudaEvent* start, CudaEvent* end) {
  return cuEventElapsedTime(milliseconds, start, end);
}
