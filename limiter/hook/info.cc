// The card as the container sees it through the driver (spec A3).
#include <limits>

#include "limiter/hook/prologue.h"
#include "limiter/region/attachment.h"

namespace type = hami::limiter::hook::type;
using hami::limiter::hook::Current;
using hami::limiter::region::Attachment;

namespace {

struct Memory {
  uint64_t free = 0, total = 0;
};

uint64_t Smaller(uint64_t a, uint64_t b) { return a < b ? a : b; }

Memory ShareOf(unsigned index, Memory physical) {
  Attachment& own = Attachment::Own();
  const uint64_t limit = own.limits().Memory(index);
  if (limit == 0) return physical;
  own.Glance();
  const uint64_t used = own.Used(index);
  // What does not fit the card leaves it.
  if (own.limits().PagesOut(index)) return {used >= limit ? 0 : limit - used, limit};
  const uint64_t total = Smaller(limit, physical.total);
  return {Smaller(used >= total ? 0 : total - used, physical.free), total};
}

// The forms of CUDA 3.1 count in 32 bits.
template <class Size>
Size Fitting(uint64_t bytes) {
  return static_cast<Size>(Smaller(bytes, std::numeric_limits<Size>::max()));
}

template <class Size>
CUresult GetInfo(Size* free_bytes, Size* total_bytes, type::cuMemGetInfo_v2 call) {
  size_t free_now = 0, total = 0;
  const CUresult result = call(&free_now, &total);
  if (result != CUDA_SUCCESS) return result;
  const Current current = hami::limiter::hook::CurrentDevice();
  Memory memory{free_now, total};
  if (current.valid) memory = ShareOf(current.index, memory);
  if (free_bytes != nullptr) *free_bytes = Fitting<Size>(memory.free);
  if (total_bytes != nullptr) *total_bytes = Fitting<Size>(memory.total);
  return result;
}

template <class Size, class Call>
CUresult TotalMem(Size* bytes, CUdevice device, Call call) {
  const CUresult result = call();
  if (result != CUDA_SUCCESS || bytes == nullptr) return result;
  const int index = hami::limiter::hook::IndexOf(device);
  if (index < 0) return result;
  Attachment& own = Attachment::Own();
  const uint64_t limit = own.limits().Memory(static_cast<unsigned>(index));
  const bool pages = own.limits().PagesOut(static_cast<unsigned>(index));
  if (limit != 0) *bytes = pages ? Fitting<Size>(limit) : Fitting<Size>(Smaller(limit, *bytes));
  return result;
}

}  // namespace

extern "C" {

CUresult cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  HAMI_ACT(cuMemGetInfo_v2, free_bytes, total_bytes);
  return GetInfo(free_bytes, total_bytes, real);
}

CUresult cuMemGetInfo(unsigned* free_bytes, unsigned* total_bytes) {
  HAMI_ACT(cuMemGetInfo, free_bytes, total_bytes);
  const auto exact = HAMI_REAL(cuMemGetInfo_v2);  // of every driver since CUDA 3.2
  return exact == nullptr ? real(free_bytes, total_bytes) : GetInfo(free_bytes, total_bytes, exact);
}

CUresult cuDeviceTotalMem_v2(size_t* bytes, CUdevice device) {
  HAMI_ACT(cuDeviceTotalMem_v2, bytes, device);
  return TotalMem(bytes, device, [&] { return real(bytes, device); });
}

CUresult cuDeviceTotalMem(unsigned* bytes, CUdevice device) {
  HAMI_ACT(cuDeviceTotalMem, bytes, device);
  return TotalMem(bytes, device, [&] { return real(bytes, device); });
}

}  // extern "C"
