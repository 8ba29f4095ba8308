// Every kind of launch (spec A5, C6). In a container without a core limit a launch is three loads,
// two comparisons and a jump to the driver (core/gate.h); everything else is in Govern.
#include "limiter/core/gate.h"
#include "limiter/core/governor.h"
#include "limiter/core/helper.h"
#include "limiter/core/kernel_names.h"
#include "limiter/hook/capture.h"
#include "limiter/hook/graph.h"
#include "limiter/hook/prologue.h"
#include "limiter/region/attachment.h"
#include "limiter/sys/syscall.h"

#define HAMI_LAUNCHES(X)                  \
  X(cuLaunchKernel)                       \
  X(cuLaunchKernel_ptsz)                  \
  X(cuLaunchKernelEx)                     \
  X(cuLaunchKernelEx_ptsz)                \
  X(cuLaunchCooperativeKernel)            \
  X(cuLaunchCooperativeKernel_ptsz)       \
  X(cuLaunchCooperativeKernelMultiDevice) \
  X(cuLaunch)                             \
  X(cuLaunchGrid)                         \
  X(cuLaunchGridAsync)                    \
  X(cuGraphLaunch)                        \
  X(cuGraphLaunch_ptsz)

// The driver's launches, where the short way finds them. Set before the gate opens.
extern "C" {
#define HAMI_REAL_LAUNCH(name)                                                                 \
  __attribute__((visibility("hidden"))) constinit std::atomic<hami::limiter::hook::type::name> \
      hami_real_##name{nullptr};
HAMI_LAUNCHES(HAMI_REAL_LAUNCH)
HAMI_REAL_LAUNCH(cuCtxGetCurrent)  // which a launch under a limit asks first
#undef HAMI_REAL_LAUNCH
}

namespace hami::limiter::hook {
namespace {

using core::Charge;
using core::Governor;
using region::Attachment;

CUresult Missing() { return CUDA_ERROR_NOT_FOUND; }

constinit std::atomic<bool> launches_bound{false};
constinit std::atomic<bool> filling{false};
constinit core::EventDriver events;
// The card of a program that sees one only; -1: several, or not known.
constinit std::atomic<int> only_card{-1};

void LearnOnlyCard() {
  const auto count = HAMI_REAL(cuDeviceGetCount);
  int cards = 0;
  if (count != nullptr && count(&cards) == CUDA_SUCCESS && cards == 1) only_card.store(IndexOf(0));
}

template <class Function>
void Bind(std::atomic<Function>& to, void* real) {
  to.store(reinterpret_cast<Function>(real != nullptr ? real : reinterpret_cast<void*>(&Missing)),
           std::memory_order_relaxed);
}

void BindLaunches() {
#define HAMI_BIND(name) Bind(hami_real_##name, Real(CudaFn::k_##name));
  HAMI_LAUNCHES(HAMI_BIND)
  HAMI_BIND(cuCtxGetCurrent)
#undef HAMI_BIND
  // The thread that comes first fills it; until then others launch without samples.
  if (!filling.exchange(true)) {
    events.create = HAMI_REAL(cuEventCreate);
    events.destroy = HAMI_REAL(cuEventDestroy_v2);
    events.record = HAMI_REAL(cuEventRecord);
    events.record_per_thread = HAMI_REAL(cuEventRecord_ptsz);
    events.query = HAMI_REAL(cuEventQuery);
    events.elapsed = HAMI_REAL(cuEventElapsedTime);
    events.exchange_mode = HAMI_REAL(cuThreadExchangeStreamCaptureMode);
    Governor::Own().sampler().SetDriver(events);
    LearnOnlyCard();
  }
  launches_bound.store(true, std::memory_order_release);
}

// What is launched, and where.
struct Launch {
  uint64_t handle = 0;      // function or graph
  uint32_t size_class = 0;  // core::SizeClass; 0 for a graph
  CUstream stream = nullptr;
  bool per_thread = false;
};

__attribute__((always_inline)) inline uint32_t SizeClass(const unsigned (&grid)[3],
                                                         const unsigned (&block)[3]) {
  const auto product = [](const unsigned(&n)[3]) { return uint64_t{n[0]} * n[1] * n[2]; };
  return core::SizeClass(product(grid) * product(block));
}

// The launch's function in all processes of the container (core/shared.h).
core::Sampled SampleOf(const Charge& charge, const Launch& launch) {
  uint64_t key = core::KernelNames::Own().Of(launch.handle);
  if (key != 0) key = core::Mixed(core::Mixed(key, launch.size_class), charge.device) | 1;
  return Governor::Own().SampleOf(charge, key);
}

// A random number is not worth a state that threads share.
uint32_t Noise(const Charge& charge) {
  const auto mixed = reinterpret_cast<uint64_t>(&charge) ^ charge.busy_ns * 0x9e3779b97f4a7c15u;
  static constinit std::atomic<uint32_t> counter{0};
  const uint32_t count = counter.load(std::memory_order_relaxed) + 1;
  counter.store(count, std::memory_order_relaxed);
  return static_cast<uint32_t>((mixed + count * 0x9e3779b97f4a7c15u) >> 33);
}

__attribute__((tls_model("initial-exec"))) constinit thread_local core::Prepaid prepaid;

// The card of the calling thread's context if it was here before; negative: ask the long way.
__attribute__((noinline)) int CurrentCard() {
  CUcontext context = nullptr;
  const auto ask = hami_real_cuCtxGetCurrent.load(std::memory_order_relaxed);
  return ask(&context) == CUDA_SUCCESS && SeenBefore(context) ? seen_context.index : -1;
}

// Spends what the thread has paid for, and writes nothing that others share. What was spent; 0: the
// launch has to go the long way, which binds the driver's functions before it says that the limits
// are known.
__attribute__((always_inline)) inline uint64_t PaidAhead(uint64_t handle, uint32_t size_class) {
  if (!core::LimitsAreAsBefore() || Busy() || SomeCapture()) return 0;
  int card = only_card.load(std::memory_order_relaxed);
  if (card < 0) card = CurrentCard();
  if (card < 0) return 0;
  const auto device = static_cast<unsigned>(card);
  Governor& governor = Governor::Own();
  core::Function& function = governor.functions().Find(handle, size_class);
  const uint64_t cost = governor.Corrected(device, function.estimate_ns());
  if (cost == 0 || !prepaid.Covers(device, cost) || !function.CountUnsampled()) return 0;
  prepaid.Spend(cost);
  return cost;
}

// One charged launch on a card that has a limit.
template <class Call>
CUresult Charged(const Launch& launch, const Current& current, uint32_t percent, Call call) {
  Governor& governor = Governor::Own();
  core::Helper::Own().Touch();
  core::Function& function = governor.functions().Find(launch.handle, launch.size_class);
  const Charge charge = governor.Admit(current.index, percent, function, current.owner);
  const bool due = function.CountLaunch(Noise(charge));
  const core::StreamOf where{current.owner, launch.stream, launch.per_thread};
  int probe = core::Sampler::kNone;
  // After a wait the card has done what was queued: nothing of ours makes the sample longer.
  if (due || charge.waited || charge.companion) {
    governor.Harvest(current.owner);
    probe = governor.sampler().Begin(where);
  }
  if (probe == core::Sampler::kNone) {
    const CUresult result = call();
    if (result != CUDA_SUCCESS) return governor.Refund(charge), result;
    governor.Ran(charge);
    governor.Prepay(charge, prepaid);
    return result;
  }
  const uint64_t begin = sys::NowNs(CLOCK_MONOTONIC);
  const CUresult result = call();
  if (result != CUDA_SUCCESS) {
    governor.sampler().Drop(probe);
    governor.Refund(charge);
    return result;
  }
  const uint64_t end = sys::NowNs(CLOCK_MONOTONIC);
  governor.sampler().End(probe, where, SampleOf(charge, launch), end - begin);
  if (charge.waited) function.OfferCompanion(end);
  governor.Ran(charge);
  return result;
}

// The long way of a launch.
template <class Call>
CUresult Govern(const Launch& launch, Call call) {
  if (Busy() || !Ready()) {
    if (!Busy()) core::LeaveGateOpen();
    return call();
  }
  const Inside inside;
  if (CaptureIs(launch.stream, launch.per_thread) != Capture::kNone) return call();
  Governor& governor = Governor::Own();
  governor.Pass();
  core::UpdateGate();
  const Current current = CurrentDevice();
  if (!current.valid) return call();
  const uint32_t percent = Attachment::Own().limits().CorePercent(current.index);
  return percent < 100 ? Charged(launch, current, percent, call) : call();
}

// One kernel on several cards at once: each card's limit is asked for its part.
struct Part {
  Charge charge;
  core::StreamOf where;
  int probe = core::Sampler::kNone;
};
constexpr unsigned kMostParts = 16;

// The card of a stream's context, which is made current for the length of `body`.
template <class Body>
void InContextOf(CUstream stream, Body body) {
  const auto context_of = HAMI_REAL(cuStreamGetCtx);
  const auto push = HAMI_REAL(cuCtxPushCurrent_v2);
  const auto pop = HAMI_REAL(cuCtxPopCurrent_v2);
  CUcontext context = nullptr;
  if (context_of == nullptr || push == nullptr || pop == nullptr ||
      context_of(stream, &context) != CUDA_SUCCESS || push(context) != CUDA_SUCCESS) {
    return;
  }
  const Current current = CurrentDevice();
  if (current.valid) body(current);
  pop(&context);
}

void BeginPart(const CUDA_LAUNCH_PARAMS& launch, Part& part) {
  InContextOf(launch.stream, [&](const Current& current) {
    Governor& governor = Governor::Own();
    const uint32_t percent = Attachment::Own().limits().CorePercent(current.index);
    if (percent >= 100) return;
    core::Helper::Own().Touch();
    core::Function& function =
        governor.functions().Find(KeyOf(launch.function), SizeClass(launch.grid, launch.block));
    part.charge = governor.Admit(current.index, percent, function, current.owner);
    part.where = {current.owner, launch.stream, false};
    governor.Harvest(current.owner);
    if (function.CountLaunch(Noise(part.charge))) part.probe = governor.sampler().Begin(part.where);
  });
}

void EndPart(Part& part, bool launched, uint64_t host_ns) {
  Governor& governor = Governor::Own();
  if (part.charge.function == nullptr) return;
  if (!launched) {
    if (part.probe != core::Sampler::kNone) governor.sampler().Drop(part.probe);
    return governor.Refund(part.charge);
  }
  if (part.probe != core::Sampler::kNone) {
    InContextOf(part.where.stream, [&](const Current&) {
      governor.sampler().End(part.probe, part.where, governor.SampleOf(part.charge, 0), host_ns);
    });
  }
  governor.Ran(part.charge);
}

template <class Call>
CUresult GovernParts(const CUDA_LAUNCH_PARAMS* list, unsigned count, Call call) {
  if (Busy() || !Ready()) return call();
  const Inside inside;
  Governor::Own().Pass();
  core::UpdateGate();
  if (list == nullptr || count > kMostParts) return call();  // more than a driver shows: it refuses
  Part parts[kMostParts];
  for (unsigned i = 0; i < count; ++i) BeginPart(list[i], parts[i]);
  const uint64_t begin = sys::NowNs(CLOCK_MONOTONIC);
  const CUresult result = call();
  const uint64_t host_ns = sys::NowNs(CLOCK_MONOTONIC) - begin;
  for (unsigned i = 0; i < count; ++i) EndPart(parts[i], result == CUDA_SUCCESS, host_ns);
  return result;
}

}  // namespace
}  // namespace hami::limiter::hook

using namespace hami::limiter::hook;  // NOLINT: only exported C functions below
namespace core = hami::limiter::core;

// The hook `name` is three functions: the entry, for containers without a limit (core/gate.h);
// hami_long_<name>, for launches that are paid for; hami_govern_<name>, for all others. `launch` is
// an expression of the parameters: handle, class of sizes, stream, whether the thread's own.
#define HAMI_LAUNCH_HOOK(name, parameters, arguments, launch)                                   \
  static CUresult hami_govern_##name parameters;                                                \
  HAMI_LAUNCH_ENTRY(name);                                                                      \
  extern "C" __attribute__((visibility("hidden"), used)) CUresult hami_long_##name parameters { \
    const Launch what = launch;                                                                 \
    const uint64_t paid = PaidAhead(what.handle, what.size_class);                              \
    if (paid == 0) return hami_govern_##name arguments;                                         \
    const Inside inside;                                                                        \
    const CUresult result = hami_real_##name.load(std::memory_order_relaxed) arguments;         \
    if (result != CUDA_SUCCESS) prepaid.Undo(paid);                                             \
    return result;                                                                              \
  }                                                                                             \
  __attribute__((noinline)) static CUresult hami_govern_##name parameters HAMI_GOVERNED(        \
      name, arguments, Govern(launch, call))

// `long_way`: an expression with `call`.
#define HAMI_GOVERNED(name, arguments, long_way)                              \
  {                                                                           \
    if (!launches_bound.load(std::memory_order_acquire)) BindLaunches();      \
    const auto real = hami_real_##name.load(std::memory_order_relaxed);       \
    if (reinterpret_cast<void*>(real) == reinterpret_cast<void*>(&Missing)) { \
      return CUDA_ERROR_NOT_FOUND;                                            \
    }                                                                         \
    const auto call = [&] { return real arguments; };                         \
    return long_way;                                                          \
  }
#define HAMI_ARGS(...) (__VA_ARGS__)

#define HAMI_KERNEL_PARAMETERS                                                           \
  (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, \
   unsigned bz, unsigned shared, CUstream stream, void** parameters, void** extra)
#define HAMI_KERNEL_ARGUMENTS \
  HAMI_ARGS(function, gx, gy, gz, bx, by, bz, shared, stream, parameters, extra)
#define HAMI_COOPERATIVE_PARAMETERS                                                      \
  (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, \
   unsigned bz, unsigned shared, CUstream stream, void** parameters)
#define HAMI_COOPERATIVE_ARGUMENTS \
  HAMI_ARGS(function, gx, gy, gz, bx, by, bz, shared, stream, parameters)

namespace {

__attribute__((always_inline)) inline Launch Kernel(CUfunction function, const unsigned (&grid)[3],
                                                    const unsigned (&block)[3], CUstream stream,
                                                    bool per_thread) {
  return {KeyOf(function), SizeClass(grid, block), stream, per_thread};
}
Launch Configured(const CUlaunchConfig* config, CUfunction function, bool per_thread) {
  if (config == nullptr) return {KeyOf(function), 0, nullptr, per_thread};
  return Kernel(function, config->grid, config->block, config->stream, per_thread);
}
// Block and grid of the first CUDA versions are set on the function.
Launch Old(CUfunction function, int width, int height, CUstream stream) {
  const auto side = [](int blocks) { return static_cast<uint64_t>(blocks > 0 ? blocks : 1); };
  const uint32_t size_class = core::SizeClass(side(width) * side(height));
  return {KeyOf(function), size_class, stream, false};
}

}  // namespace

HAMI_LAUNCH_HOOK(cuLaunchKernel, HAMI_KERNEL_PARAMETERS, HAMI_KERNEL_ARGUMENTS,
                 Kernel(function, {gx, gy, gz}, {bx, by, bz}, stream, false))
HAMI_LAUNCH_HOOK(cuLaunchKernel_ptsz, HAMI_KERNEL_PARAMETERS, HAMI_KERNEL_ARGUMENTS,
                 Kernel(function, {gx, gy, gz}, {bx, by, bz}, stream, true))
HAMI_LAUNCH_HOOK(cuLaunchCooperativeKernel, HAMI_COOPERATIVE_PARAMETERS, HAMI_COOPERATIVE_ARGUMENTS,
                 Kernel(function, {gx, gy, gz}, {bx, by, bz}, stream, false))
HAMI_LAUNCH_HOOK(cuLaunchCooperativeKernel_ptsz, HAMI_COOPERATIVE_PARAMETERS,
                 HAMI_COOPERATIVE_ARGUMENTS,
                 Kernel(function, {gx, gy, gz}, {bx, by, bz}, stream, true))
HAMI_LAUNCH_HOOK(cuLaunchKernelEx,
                 (const CUlaunchConfig* config, CUfunction function, void** parameters,
                  void** extra),
                 HAMI_ARGS(config, function, parameters, extra),
                 Configured(config, function, false))
HAMI_LAUNCH_HOOK(cuLaunchKernelEx_ptsz,
                 (const CUlaunchConfig* config, CUfunction function, void** parameters,
                  void** extra),
                 HAMI_ARGS(config, function, parameters, extra), Configured(config, function, true))
HAMI_LAUNCH_HOOK(cuLaunch, (CUfunction function), HAMI_ARGS(function), Old(function, 1, 1, nullptr))
HAMI_LAUNCH_HOOK(cuLaunchGrid, (CUfunction function, int width, int height),
                 HAMI_ARGS(function, width, height), Old(function, width, height, nullptr))
HAMI_LAUNCH_HOOK(cuLaunchGridAsync, (CUfunction function, int width, int height, CUstream stream),
                 HAMI_ARGS(function, width, height, stream), Old(function, width, height, stream))
// A graph is also asked for room, once one that allocates was made (graph.h).
#define HAMI_GRAPH_HOOK(name, per_thread)                                                         \
  static CUresult Long_##name(CUgraphExec exec, CUstream stream) {                                \
    if (!launches_bound.load(std::memory_order_acquire)) BindLaunches();                          \
    const auto real = hami_real_##name.load(std::memory_order_relaxed);                           \
    if (reinterpret_cast<void*>(real) == reinterpret_cast<void*>(&Missing)) {                     \
      return CUDA_ERROR_NOT_FOUND;                                                                \
    }                                                                                             \
    return Govern(Launch{KeyOf(exec), 0, stream, per_thread}, [&]() -> CUresult {                 \
      GraphLaunch memory(exec);                                                                   \
      return memory.refused() ? CUDA_ERROR_OUT_OF_MEMORY : memory.Ran(real(exec, stream));        \
    });                                                                                           \
  }                                                                                               \
  extern "C" CUresult name(CUgraphExec exec, CUstream stream) {                                   \
    const bool direct = graph_devices.load(std::memory_order_relaxed) == 0 && core::GateIsOpen(); \
    return direct ? hami_real_##name.load(std::memory_order_relaxed)(exec, stream)                \
                  : Long_##name(exec, stream);                                                    \
  }
HAMI_GRAPH_HOOK(cuGraphLaunch, false)
HAMI_GRAPH_HOOK(cuGraphLaunch_ptsz, true)
HAMI_LAUNCH_ENTRY(cuLaunchCooperativeKernelMultiDevice);
extern "C" __attribute__((visibility("hidden"), used)) CUresult
hami_long_cuLaunchCooperativeKernelMultiDevice(CUDA_LAUNCH_PARAMS* list, unsigned count,
                                               unsigned flags)
    HAMI_GOVERNED(cuLaunchCooperativeKernelMultiDevice, (list, count, flags),
                  GovernParts(list, count, call))
