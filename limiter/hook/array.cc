// Arrays and mipmapped arrays: opaque blocks whose size follows from their description.
#include "abi/region.h"
#include "limiter/account/charge.h"
#include "limiter/hook/prologue.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::Current;
using hami::limiter::hook::CurrentDevice;
using hami::limiter::hook::OwnRecords;

namespace {

// Bytes of one channel (spec C3); formats that are not known take the largest.
uint64_t ChannelBytes(int format) {
  switch (format) {
    case 0x01:
    case 0x08:
      return 1;
    case 0x02:
    case 0x09:
    case 0x10:
      return 2;
    default:
      return 4;
  }
}

uint64_t AtLeastOne(uint64_t extent) { return extent == 0 ? 1 : extent; }

// UINT64_MAX when the product does not fit: no card can hold it.
uint64_t LevelBytes(const CUDA_ARRAY3D_DESCRIPTOR& shape) {
  uint64_t bytes = ChannelBytes(shape.format);
  for (const uint64_t factor : {uint64_t{AtLeastOne(shape.channels)}, AtLeastOne(shape.width),
                                AtLeastOne(shape.height), AtLeastOne(shape.depth)}) {
    if (__builtin_mul_overflow(bytes, factor, &bytes)) return UINT64_MAX;
  }
  return bytes;
}

uint64_t Half(uint64_t extent) { return extent > 1 ? extent / 2 : extent; }

uint64_t MipmapBytes(CUDA_ARRAY3D_DESCRIPTOR shape, unsigned levels) {
  uint64_t bytes = 0;
  for (unsigned i = 0; i < levels && i < 64; ++i) {
    if (__builtin_add_overflow(bytes, LevelBytes(shape), &bytes)) return UINT64_MAX;
    shape.width = Half(shape.width);
    shape.height = Half(shape.height);
    shape.depth = Half(shape.depth);
  }
  return bytes;
}

// What the driver says that it took; `expected` where it cannot say.
template <class Ask>
uint64_t TakenBytes(Ask ask, void* array, CUdevice device, uint64_t expected) {
  CUDA_ARRAY_MEMORY_REQUIREMENTS requirements = {};
  if (ask == nullptr || ask(&requirements, array, device) != CUDA_SUCCESS) return expected;
  return requirements.size != 0 ? requirements.size : expected;
}

template <class Call, class Ask, class Undo>
CUresult Create(void** array, uint64_t expected, Call call, Ask ask, Undo undo) {
  const Current current = CurrentDevice();
  if (!current.valid || array == nullptr) return call();
  Reservation room = Reservation::Of(current.index, expected);
  if (!room.granted()) return CUDA_ERROR_OUT_OF_MEMORY;
  const CUresult result = call();
  if (result != CUDA_SUCCESS) return result;
  Record record;
  record.key = hami::limiter::hook::KeyOf(*array);
  record.size = TakenBytes(ask, *array, current.ordinal, expected);
  record.owner = hami::limiter::hook::KeyOf(current.context);
  record.space = Space::kArray;
  record.kind = HAMI_KIND_DATA;
  record.device = static_cast<int8_t>(current.index);
  if (room.Keep(HAMI_KIND_DATA, record.size)) {
    if (OwnRecords().Insert(record)) return CUDA_SUCCESS;
    hami::limiter::hook::ReleaseRecord(record);
  }
  if (undo != nullptr) undo(*array);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Call>
CUresult Destroy(void* array, Call call) {
  return hami::limiter::hook::FreeRecorded(Space::kArray, hami::limiter::hook::KeyOf(array), call);
}

}  // namespace

extern "C" {

CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* descriptor) {
  HAMI_ACT(cuArrayCreate_v2, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  const CUDA_ARRAY3D_DESCRIPTOR shape = {descriptor->width,  descriptor->height,   0,
                                         descriptor->format, descriptor->channels, 0};
  return Create(
      array, LevelBytes(shape), [&] { return real(array, descriptor); },
      HAMI_REAL(cuArrayGetMemoryRequirements), HAMI_REAL(cuArrayDestroy));
}

CUresult cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) {
  HAMI_ACT(cuArray3DCreate_v2, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  return Create(
      array, LevelBytes(*descriptor), [&] { return real(array, descriptor); },
      HAMI_REAL(cuArrayGetMemoryRequirements), HAMI_REAL(cuArrayDestroy));
}

CUresult cuArrayDestroy(CUarray array) {
  HAMI_ACT(cuArrayDestroy, array);
  return Destroy(array, [&] { return real(array); });
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                unsigned levels) {
  HAMI_ACT(cuMipmappedArrayCreate, array, descriptor, levels);
  if (descriptor == nullptr) return real(array, descriptor, levels);
  return Create(
      array, MipmapBytes(*descriptor, levels), [&] { return real(array, descriptor, levels); },
      HAMI_REAL(cuMipmappedArrayGetMemoryRequirements), HAMI_REAL(cuMipmappedArrayDestroy));
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) {
  HAMI_ACT(cuMipmappedArrayDestroy, array);
  return Destroy(array, [&] { return real(array); });
}

}  // extern "C"
