// Contexts take memory like any allocation: reserved before the driver makes one, then corrected to
// what it took. The size is measured once per card and container and kept in the region.
#include <atomic>

#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/core/governor.h"
#include "limiter/hook/prologue.h"
#include "limiter/nvml/cards.h"
#include "limiter/region/attachment.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::KeyOf;
using hami::limiter::hook::OwnRecords;
using hami::limiter::region::Attachment;
namespace nvml = hami::limiter::nvml;

namespace {

// More than any known card's context: the first one is reserved with this, or with what is left.
constexpr uint64_t kUnknownContextBytes = uint64_t{768} << 20;
constexpr int kMostOrdinals = 64;

constinit std::atomic<CUcontext> primary[kMostOrdinals];

std::atomic_ref<uint64_t> LearnedSize(unsigned index) {
  return std::atomic_ref(Attachment::Own().region().ext.header.devices[index].context_size);
}

bool PrimaryIsActive(CUdevice device) {
  const auto ask = HAMI_REAL(cuDevicePrimaryCtxGetState);
  unsigned flags = 0;
  int active = 0;
  return ask != nullptr && ask(device, &flags, &active) == CUDA_SUCCESS && active != 0;
}

// Everything that dies with a context.
void ForgetContext(CUcontext context) {
  const uint64_t owner = KeyOf(context);
  const auto release = [](const Record& record) { hami::limiter::hook::ReleaseRecord(record); };
  OwnRecords().TakeOwned(Space::kPointer, owner, release);
  OwnRecords().TakeOwned(Space::kArray, owner, release);
  const auto record = OwnRecords().Take(Space::kContext, owner);
  if (record) release(*record);
  hami::limiter::hook::ForgetContexts();
  hami::limiter::core::Governor::Own().ForgetContext(context);
}

// Size of the context made between the two looks at NVML, learned for everybody.
uint64_t Measure(unsigned index, const std::optional<nvml::Processes>& before, uint64_t fallback) {
  if (!before) return fallback;
  const auto after = nvml::ProcessesOn(index);
  const auto size = after ? nvml::GrowthOfOwn(*before, *after) : std::nullopt;
  if (!size) return fallback;
  uint64_t unknown = 0;
  LearnedSize(index).compare_exchange_strong(unknown, *size);
  return *size;
}

// `call` makes the context and `undo` takes it back.
template <class Call, class Undo>
CUresult Create(CUcontext* context, CUdevice device, Call call, Undo undo) {
  const int found = context == nullptr ? -1 : hami::limiter::hook::IndexOf(device);
  if (found < 0) return call();
  const auto index = static_cast<unsigned>(found);
  const uint64_t known = LearnedSize(index).load();
  Reservation room =
      known != 0 ? Reservation::Of(index, known) : Reservation::UpTo(index, kUnknownContextBytes);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const auto before = known != 0 ? std::nullopt : nvml::ProcessesOn(index);
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  Record record;
  record.key = KeyOf(*context);
  record.space = Space::kContext;
  record.kind = HAMI_KIND_CONTEXT;
  record.device = static_cast<int8_t>(index);
  if (OwnRecords().Find(Space::kContext, record.key)) return result;  // another thread's, booked
  record.size = known != 0 ? known : Measure(index, before, room.bytes());
  if (room.Keep(HAMI_KIND_CONTEXT, record.size)) {
    if (OwnRecords().Insert(record)) return result;
    hami::limiter::hook::ReleaseRecord(record);
  }
  undo();
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult CreateOwn(CUcontext* context, CUdevice device, Call call) {
  return Create(context, device, call, [&] {
    const auto destroy = HAMI_REAL(cuCtxDestroy_v2);
    if (destroy != nullptr) destroy(*context);
  });
}

template <class Call>
CUresult Destroy(CUcontext context, Call call) {
  const CUresult result = call();
  if (result == CUDA_SUCCESS) ForgetContext(context);
  return result;
}

template <class Call>
CUresult LeavePrimary(CUdevice device, Call call) {
  const CUresult result = call();
  if (result != CUDA_SUCCESS || device < 0 || device >= kMostOrdinals) return result;
  if (PrimaryIsActive(device)) return result;
  const CUcontext gone = primary[device].exchange(nullptr);
  if (gone != nullptr) ForgetContext(gone);
  return result;
}

}  // namespace

extern "C" {

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRetain, context, device);
  const auto call = [&] { return real(context, device); };
  const auto undo = [&] {
    const auto release = HAMI_REAL(cuDevicePrimaryCtxRelease_v2);
    if (release != nullptr) release(device);
  };
  const CUresult result = PrimaryIsActive(device) ? call() : Create(context, device, call, undo);
  if (result == CUDA_SUCCESS && context != nullptr && device < kMostOrdinals) {
    primary[device].store(*context);
  }
  return result;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRelease_v2, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxRelease, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxReset_v2, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuDevicePrimaryCtxReset(CUdevice device) {
  HAMI_ACT(cuDevicePrimaryCtxReset, device);
  return LeavePrimary(device, [&] { return real(device); });
}

CUresult cuCtxCreate(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuCtxCreate_v2(CUcontext* context, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate_v2, context, flags, device);
  return CreateOwn(context, device, [&] { return real(context, flags, device); });
}

CUresult cuCtxCreate_v3(CUcontext* context, void* affinity, int count, unsigned flags,
                        CUdevice device) {
  HAMI_ACT(cuCtxCreate_v3, context, affinity, count, flags, device);
  return CreateOwn(context, device, [&] { return real(context, affinity, count, flags, device); });
}

CUresult cuCtxCreate_v4(CUcontext* context, void* parameters, unsigned flags, CUdevice device) {
  HAMI_ACT(cuCtxCreate_v4, context, parameters, flags, device);
  return CreateOwn(context, device, [&] { return real(context, parameters, flags, device); });
}

CUresult cuCtxDestroy_v2(CUcontext context) {
  HAMI_ACT(cuCtxDestroy_v2, context);
  return Destroy(context, [&] { return real(context); });
}

CUresult cuCtxDestroy(CUcontext context) {
  HAMI_ACT(cuCtxDestroy, context);
  return Destroy(context, [&] { return real(context); });
}

}  // extern "C"
