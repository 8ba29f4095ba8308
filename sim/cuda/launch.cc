// Kernels and host functions onto streams: the launches of all CUDA versions.
#include "sim/core/timeline.h"
#include "sim/cuda/graph.h"
#include "sim/cuda/host_queue.h"
#include "sim/cuda/stream_forms.h"

namespace hami::sim {

int64_t KernelNs(const void* function, int card) {
  constexpr uintptr_t kSmallestDuration = 4096;  // spec libvgpu.md D1
  const auto value = reinterpret_cast<uintptr_t>(function);
  return value >= kSmallestDuration ? static_cast<int64_t>(value)
                                    : static_cast<int64_t>(Driver::Get().card(card).kernel_ns);
}

void RunOn(CudaStream* stream, int card, int64_t duration_ns, uint64_t kernels) {
  Driver& driver = Driver::Get();
  LaunchQueue& queue = driver.queue(card);
  const uint64_t number = queue.launched.fetch_add(1, std::memory_order_relaxed);
  std::atomic<int64_t>& mark = queue.marks[number % kQueueDepth];
  driver.Await(card, mark.load(std::memory_order_relaxed));
  const int64_t not_before = stream->not_before_ns.load(std::memory_order_relaxed);
  const WorkMark done =
      driver.machine().timeline().Queue(card, Work{duration_ns, not_before, kernels});
  mark.store(done, std::memory_order_relaxed);
  if (card == stream->context->card) {
    constexpr uint32_t kNonBlocking = 1;
    RaiseTo(stream->last, done);
    if ((stream->flags & kNonBlocking) == 0) RaiseTo(stream->context->blocking_last, done);
  } else {  // a graph's kernel on another card
    RaiseTo(stream->not_before_ns, driver.DoneAt(card, done));
  }
}

int CheckGrid(const uint32_t (&grid)[3], const uint32_t (&block)[3]) {
  const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  const bool ok = grid[0] != 0 && grid[1] != 0 && grid[2] != 0 && threads != 0 && threads <= 1024 &&
                  grid[1] <= 65535 && grid[2] <= 65535;
  return ok ? kCudaSuccess : kCudaInvalidValue;
}

namespace {

// Blocks of a cooperative launch must all fit on the card at once.
bool FitsAtOnce(const Card& card, const uint32_t (&grid)[3], const uint32_t (&block)[3]) {
  constexpr uint64_t kThreadsPerSm = 2048, kBlocksPerSm = 32;
  const uint64_t threads = uint64_t{block[0]} * block[1] * block[2];
  const uint64_t per_sm =
      kThreadsPerSm / threads < kBlocksPerSm ? kThreadsPerSm / threads : kBlocksPerSm;
  uint64_t blocks = uint64_t{grid[0]} * grid[1];  // 48 bits at most: checked before
  return !__builtin_mul_overflow(blocks, grid[2], &blocks) && blocks <= per_sm * card.sm_count;
}

int Launch(Driver& driver, bool per_thread, bool cooperative, const CudaKernelNode& kernel,
           CudaStream* handle) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (kernel.function == nullptr) return kCudaInvalidHandle;
  if (const int code = CheckGrid(kernel.grid, kernel.block); code != 0) return code;
  const int card = target.stream->context->card;
  if (cooperative && !FitsAtOnce(driver.card(card), kernel.grid, kernel.block)) {
    return kCudaLaunchTooLarge;
  }
  if (target.capture != nullptr) {
    CudaNodeParams params = {};
    params.kernel = kernel;
    return Record(driver, target, NodeType::kKernel, params);
  }
  RunOn(target.stream, card, KernelNs(kernel.function, card), 1);
  return kCudaSuccess;
}

int cuLaunchKernelForm(Driver& driver, bool per_thread, void* function, unsigned gx, unsigned gy,
                       unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                       CudaStream* stream, void** parameters, void** extra) {
  return Launch(driver, per_thread, false,
                {function, {gx, gy, gz}, {bx, by, bz}, shared, parameters, extra, nullptr, nullptr},
                stream);
}

int cuLaunchCooperativeKernelForm(Driver& driver, bool per_thread, void* function, unsigned gx,
                                  unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                                  unsigned shared, CudaStream* stream, void** parameters) {
  return Launch(
      driver, per_thread, true,
      {function, {gx, gy, gz}, {bx, by, bz}, shared, parameters, nullptr, nullptr, nullptr},
      stream);
}

int cuLaunchKernelExForm(Driver& driver, bool per_thread, const CudaLaunchConfig* config,
                         void* function, void** parameters, void** extra) {
  SIM_CUDA_OUT(config);
  if (config->attribute_count != 0 && config->attributes == nullptr) return kCudaInvalidValue;
  struct Attribute {
    int32_t id, pad;
    union {
      int32_t number;
      char room[64];
    };
  };
  static_assert(sizeof(Attribute) == 72);
  constexpr int kCooperative = 2;
  bool cooperative = false;
  const auto* attributes = static_cast<const Attribute*>(config->attributes);
  for (unsigned i = 0; i < config->attribute_count; ++i) {
    if (attributes[i].id == kCooperative) cooperative = attributes[i].number != 0;
  }
  CudaKernelNode kernel = {function,   {},    {},      config->shared_bytes,
                           parameters, extra, nullptr, nullptr};
  for (int i = 0; i < 3; ++i) {
    kernel.grid[i] = config->grid[i];
    kernel.block[i] = config->block[i];
  }
  return Launch(driver, per_thread, cooperative, kernel, config->stream);
}

int cuLaunchHostFuncForm(Driver& driver, bool per_thread, CudaStream* handle,
                         void (*function)(void*), void* data) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (function == nullptr) return kCudaInvalidValue;
  CudaStream* stream = target.stream;
  if (target.capture != nullptr) {
    CudaNodeParams params = {};
    params.host = {function, data};
    return Record(driver, target, NodeType::kHost, params);
  }
  HostCall call;
  call.function = function;
  call.data = data;
  const uint64_t ticket = QueueHostCall(stream->context->card, LastOf(stream), call);
  if (ticket == 0) return kCudaOutOfMemory;
  stream->host_ticket = ticket;
  return kCudaSuccess;
}

int cuStreamAddCallbackForm(Driver& driver, bool per_thread, CudaStream* handle,
                            void (*callback)(CudaStream*, int, void*), void* data, unsigned flags) {
  SIM_CUDA_CONTEXT();
  Target target;
  if (const int code = Aim(driver, handle, per_thread, context, &target); code != 0) return code;
  if (callback == nullptr || flags != 0) return kCudaInvalidValue;
  if (target.capture != nullptr) return RefuseOnCapture(driver, target.stream);
  HostCall call;
  call.callback = callback;
  call.stream = handle;
  call.data = data;
  const uint64_t ticket = QueueHostCall(target.stream->context->card, LastOf(target.stream), call);
  if (ticket == 0) return kCudaOutOfMemory;
  target.stream->host_ticket = ticket;
  return kCudaSuccess;
}

// Launches of the first CUDA versions: the function's block shape is set beforehand, the grid has
// two dimensions. Functions are durations, so the shape stands beside the handle that set it last.
struct OldShape {
  void* function = nullptr;
  uint32_t block[3] = {1, 1, 1};
};
__thread OldShape t_shape;

int LaunchOld(Driver& driver, void* function, int width, int height, CudaStream* stream) {
  if (width <= 0 || height <= 0) return kCudaInvalidValue;
  CudaKernelNode kernel = {
      function,  {static_cast<uint32_t>(width), static_cast<uint32_t>(height), 1},
      {1, 1, 1}, 0,
      nullptr,   nullptr,
      nullptr,   nullptr};
  if (t_shape.function == function) {
    for (int i = 0; i < 3; ++i) kernel.block[i] = t_shape.block[i];
  }
  return Launch(driver, false, false, kernel, stream);
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_STREAM_FORMS(cuLaunchKernel,
                 (void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned shared, CudaStream* stream, void** parameters,
                  void** extra),
                 SIM_ARGS(function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra))
SIM_STREAM_FORMS(cuLaunchCooperativeKernel,
                 (void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                  unsigned bz, unsigned shared, CudaStream* stream, void** parameters),
                 SIM_ARGS(function, gx, gy, gz, bx, by, bz, shared, stream, parameters))
SIM_STREAM_FORMS(cuLaunchKernelEx,
                 (const CudaLaunchConfig* config, void* function, void** parameters, void** extra),
                 SIM_ARGS(config, function, parameters, extra))
SIM_STREAM_FORMS(cuLaunchHostFunc, (CudaStream * stream, void (*function)(void*), void* data),
                 SIM_ARGS(stream, function, data))
SIM_STREAM_FORMS(cuStreamAddCallback,
                 (CudaStream * stream, void (*callback)(CudaStream*, int, void*), void* data,
                  unsigned flags),
                 SIM_ARGS(stream, callback, data, flags))

SIM_CUDA cuLaunchCooperativeKernelMultiDevice(CudaLaunchParams* list, unsigned count,
                                              unsigned flags) {
  SIM_CUDA_CALL(cuLaunchCooperativeKernelMultiDevice);
  SIM_CUDA_OUT(list);
  if (count == 0 || count > static_cast<unsigned>(driver.device_count()) || flags > 3) {
    return kCudaInvalidValue;
  }
  for (unsigned i = 0; i < count; ++i) {
    CudaStream* stream = list[i].stream;
    if (reinterpret_cast<uintptr_t>(stream) <= 2 || !IsLive(stream)) return kCudaInvalidHandle;
    if (list[i].function == nullptr) return kCudaInvalidHandle;
    if (const int code = CheckGrid(list[i].grid, list[i].block); code != 0) return code;
    if (!FitsAtOnce(driver.card(stream->context->card), list[i].grid, list[i].block)) {
      return kCudaLaunchTooLarge;
    }
    for (unsigned other = 0; other < i; ++other) {  // one launch per card
      if (list[other].stream->context->card == stream->context->card) return kCudaInvalidValue;
    }
    if (const int code = RefuseOnCapture(driver, stream); code != 0) return code;
  }
  // All start together: none before the last of their streams is ready.
  int64_t ready = 0;
  for (unsigned i = 0; i < count; ++i) {
    const CudaStream* stream = list[i].stream;
    const int64_t at = driver.DoneAt(stream->context->card, LastOf(stream));
    if (at > ready) ready = at;
  }
  for (unsigned i = 0; i < count; ++i) {
    RaiseTo(list[i].stream->not_before_ns, ready);
    const int card = list[i].stream->context->card;
    RunOn(list[i].stream, card, KernelNs(list[i].function, card), 1);
  }
  return kCudaSuccess;
}

SIM_CUDA cuFuncSetBlockShape(void* function, int x, int y, int z) {
  SIM_CUDA_CALL(cuFuncSetBlockShape);
  if (function == nullptr) return kCudaInvalidHandle;
  if (x <= 0 || y <= 0 || z <= 0) return kCudaInvalidValue;
  t_shape.function = function;
  t_shape.block[0] = static_cast<uint32_t>(x);
  t_shape.block[1] = static_cast<uint32_t>(y);
  t_shape.block[2] = static_cast<uint32_t>(z);
  return kCudaSuccess;
}
SIM_CUDA cuFuncSetSharedSize(void* function, unsigned) {
  SIM_CUDA_CALL(cuFuncSetSharedSize);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
// Parameters are taken and, as there is no code that could read them, dropped.
SIM_CUDA cuParamSetSize(void* function, unsigned) {
  SIM_CUDA_CALL(cuParamSetSize);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuParamSeti(void* function, int, unsigned) {
  SIM_CUDA_CALL(cuParamSeti);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuParamSetf(void* function, int, float) {
  SIM_CUDA_CALL(cuParamSetf);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuParamSetv(void* function, int, void* data, unsigned) {
  SIM_CUDA_CALL(cuParamSetv);
  SIM_CUDA_OUT(data);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuLaunch(void* function) {
  SIM_CUDA_CALL(cuLaunch);
  return LaunchOld(driver, function, 1, 1, nullptr);
}
SIM_CUDA cuLaunchGrid(void* function, int width, int height) {
  SIM_CUDA_CALL(cuLaunchGrid);
  return LaunchOld(driver, function, width, height, nullptr);
}
SIM_CUDA cuLaunchGridAsync(void* function, int width, int height, CudaStream* stream) {
  SIM_CUDA_CALL(cuLaunchGridAsync);
  return LaunchOld(driver, function, width, height, stream);
}
