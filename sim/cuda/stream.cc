// Streams and events: the order of work, and waiting for it.
#include "sim/core/timeline.h"
#include "sim/cuda/capture.h"
#include "sim/cuda/host_queue.h"
#include "sim/cuda/stream_forms.h"

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

bool StreamDone(Driver& driver, CudaStream* stream) {
  return driver.IsDone(stream->context->card, LastOf(stream)) &&
         NowMonotonicNs() >= stream->not_before_ns.load() &&
         HostCallDone(stream->host_ticket.load());
}

int Synchronize(Driver& driver, CudaStream* stream) {
  driver.Await(stream->context->card, LastOf(stream));
  SleepUntil(stream->not_before_ns.load());
  AwaitHostCall(stream->host_ticket.load());
  TrimPools(stream->context->card);
  return kCudaSuccess;
}

// When the event came; only for one that was recorded.
int64_t TimeOf(Driver& driver, const CudaEvent& event) {
  int64_t time = event.recorded_ns.load();
  const int64_t done = driver.DoneAt(event.card, event.mark.load());
  if (done > time) time = done;
  const int64_t other = event.not_before_ns.load();
  return other > time ? other : time;
}

bool EventDone(Driver& driver, const CudaEvent& event) {
  return event.recorded_ns.load() == 0 ||
         (driver.IsDone(event.card, event.mark.load()) &&
          NowMonotonicNs() >= event.not_before_ns.load() && HostCallDone(event.host_ticket.load()));
}

// A stream by its handle, for what asks about it without queueing anything.
int Named(bool per_thread, CudaStream* handle, CudaStream** stream) {
  SIM_CUDA_CONTEXT();
  return ResolveStream(handle, per_thread, context, stream);
}

int cuStreamSynchronizeForm(Driver& driver, bool per_thread, CudaStream* handle) {
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  if (const int code = RefuseOnCapture(driver, stream); code != 0) return code;
  return Synchronize(driver, stream);
}

int cuStreamQueryForm(Driver& driver, bool per_thread, CudaStream* handle) {
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  if (const int code = RefuseOnCapture(driver, stream); code != 0) return code;
  return StreamDone(driver, stream) ? kCudaSuccess : kCudaNotReady;
}

int cuStreamWaitEventForm(Driver& driver, bool per_thread, CudaStream* handle, CudaEvent* event,
                          unsigned) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (!IsLive(event)) return kCudaInvalidHandle;
  if (driver.captures.load(std::memory_order_relaxed) != 0) {
    int code = kCudaSuccess;
    if (WaitInCapture(driver, target, event, &code)) return code;
  }
  if (event->recorded_ns.load() == 0) return kCudaSuccess;
  CudaStream* stream = target.stream;
  if (event->card == stream->context->card) {
    RaiseTo(stream->last, event->mark.load());
    RaiseTo(stream->not_before_ns, event->not_before_ns.load());
  } else {
    RaiseTo(stream->not_before_ns, TimeOf(driver, *event));
  }
  if (event->host_ticket.load() > stream->host_ticket.load()) {
    stream->host_ticket = event->host_ticket.load();
  }
  return kCudaSuccess;
}

int cuStreamGetFlagsForm(Driver&, bool per_thread, CudaStream* handle, unsigned* flags) {
  SIM_CUDA_OUT(flags);
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  *flags = stream->flags;
  return kCudaSuccess;
}

int cuStreamGetPriorityForm(Driver&, bool per_thread, CudaStream* handle, int* priority) {
  SIM_CUDA_OUT(priority);
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  *priority = stream->priority;
  return kCudaSuccess;
}

int cuStreamGetIdForm(Driver&, bool per_thread, CudaStream* handle, uint64_t* id) {
  SIM_CUDA_OUT(id);
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  *id = stream->id;
  return kCudaSuccess;
}

int cuStreamGetCtxForm(Driver&, bool per_thread, CudaStream* handle, Context** out) {
  SIM_CUDA_OUT(out);
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  *out = stream->context;
  return kCudaSuccess;
}

int cuStreamGetDeviceForm(Driver&, bool per_thread, CudaStream* handle, CudaDevice* device) {
  SIM_CUDA_OUT(device);
  CudaStream* stream = nullptr;
  if (const int code = Named(per_thread, handle, &stream); code != 0) return code;
  *device = stream->context->device;
  return kCudaSuccess;
}

int cuEventRecordForm(Driver& driver, bool per_thread, CudaEvent* event, CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (!IsLive(event)) return kCudaInvalidHandle;
  if (target.capture != nullptr) {
    RecordEventInCapture(driver, event, target);
    return kCudaSuccess;
  }
  CudaStream* stream = target.stream;
  event->capture_id = 0;
  event->card = stream->context->card;
  event->mark = LastOf(stream);
  event->not_before_ns = stream->not_before_ns.load();
  event->host_ticket = stream->host_ticket.load();
  event->recorded_ns = NowMonotonicNs();
  return kCudaSuccess;
}
int cuEventRecordWithFlagsForm(Driver& driver, bool per_thread, CudaEvent* event,
                               CudaStream* handle, unsigned flags) {
  if (flags > 1) return kCudaInvalidValue;
  return cuEventRecordForm(driver, per_thread, event, handle);
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_STREAM_FORMS(cuStreamSynchronize, (CudaStream * stream), SIM_ARGS(stream))
SIM_STREAM_FORMS(cuStreamQuery, (CudaStream * stream), SIM_ARGS(stream))
SIM_STREAM_FORMS(cuStreamWaitEvent, (CudaStream * stream, CudaEvent* event, unsigned flags),
                 SIM_ARGS(stream, event, flags))
SIM_STREAM_FORMS(cuStreamGetFlags, (CudaStream * stream, unsigned* flags), SIM_ARGS(stream, flags))
SIM_STREAM_FORMS(cuStreamGetPriority, (CudaStream * stream, int* priority),
                 SIM_ARGS(stream, priority))
SIM_STREAM_FORMS(cuStreamGetId, (CudaStream * stream, uint64_t* id), SIM_ARGS(stream, id))
SIM_STREAM_FORMS(cuStreamGetCtx, (CudaStream * stream, Context** out), SIM_ARGS(stream, out))
SIM_STREAM_FORMS(cuStreamGetDevice, (CudaStream * stream, CudaDevice* device),
                 SIM_ARGS(stream, device))
SIM_STREAM_FORMS(cuEventRecord, (CudaEvent * event, CudaStream* stream), SIM_ARGS(event, stream))
SIM_STREAM_FORMS(cuEventRecordWithFlags, (CudaEvent * event, CudaStream* stream, unsigned flags),
                 SIM_ARGS(event, stream, flags))

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
  ForgetStream(driver, stream);
  driver.Delete(stream);
  return kCudaSuccess;
}
SIM_CUDA cuStreamDestroy(CudaStream* stream) { return cuStreamDestroy_v2(stream); }

SIM_CUDA cuCtxSynchronize() {
  SIM_CUDA_CALL(cuCtxSynchronize);
  SIM_CUDA_CONTEXT();
  if (const int code = RefuseContextSync(driver, context); code != 0) return code;
  driver.Await(context->card, driver.machine().timeline().Last(context->card));
  AwaitAllHostCalls();
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
  {
    MutexGuard guard(driver.graph_mutex);
    Clear(event->captured);
  }
  driver.Delete(event);
  return kCudaSuccess;
}
SIM_CUDA cuEventDestroy(CudaEvent* event) { return cuEventDestroy_v2(event); }

SIM_CUDA cuEventQuery(CudaEvent* event) {
  SIM_CUDA_CALL(cuEventQuery);
  if (!IsLive(event)) return kCudaInvalidHandle;
  if (const int code = RefuseCapturedEvent(driver, event); code != 0) return code;
  return EventDone(driver, *event) ? kCudaSuccess : kCudaNotReady;
}

SIM_CUDA cuEventSynchronize(CudaEvent* event) {
  SIM_CUDA_CALL(cuEventSynchronize);
  if (!IsLive(event)) return kCudaInvalidHandle;
  if (const int code = RefuseCapturedEvent(driver, event); code != 0) return code;
  if (event->recorded_ns.load() == 0) return kCudaSuccess;
  driver.Await(event->card, event->mark.load());
  SleepUntil(event->not_before_ns.load());
  AwaitHostCall(event->host_ticket.load());
  return kCudaSuccess;
}

SIM_CUDA cuEventElapsedTime(float* milliseconds, CudaEvent* start, CudaEvent* end) {
  SIM_CUDA_CALL(cuEventElapsedTime);
  SIM_CUDA_OUT(milliseconds);
  constexpr unsigned kNoTiming = 2;
  if (!IsLive(start) || !IsLive(end)) return kCudaInvalidHandle;
  if (start->recorded_ns.load() == 0 || end->recorded_ns.load() == 0 ||
      ((start->flags | end->flags) & kNoTiming) != 0) {
    return kCudaInvalidHandle;
  }
  if (!EventDone(driver, *start) || !EventDone(driver, *end)) return kCudaNotReady;
  const int64_t from = TimeOf(driver, *start);
  const int64_t to = TimeOf(driver, *end);
  *milliseconds = static_cast<float>(static_cast<double>(to - from) / 1e6);
  return kCudaSuccess;
}
SIM_CUDA cuEventElapsedTime_v2(float* milliseconds, CudaEvent* start, CudaEvent* end) {
  return cuEventElapsedTime(milliseconds, start, end);
}
