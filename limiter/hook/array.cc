// Arrays and mipmapped arrays: opaque blocks whose size follows from their description.
#include "abi/region.h"
#include "limiter/hook/book.h"
#include "limiter/hook/vmm.h"

using hami::limiter::account::Record;
using hami::limiter::account::Reservation;
using hami::limiter::account::Space;
using hami::limiter::hook::Current;
using hami::limiter::hook::CurrentDevice;

namespace {

// Bits of one element, at most; formats that are not known take the largest. What the driver says
// afterwards is what counts.
uint64_t ElementBits(int format, unsigned channels) {
  const uint64_t each = channels == 0 ? 1 : channels;
  switch (format) {
    case 0x01:  // 8 bits
    case 0x08:
      return 8 * each;
    case 0x02:  // 16 bits
    case 0x09:
    case 0x10:
      return 16 * each;
    case 0x91:  // blocks of 4 x 4 in 8 bytes: BC1, BC4
    case 0x92:
    case 0x97:
    case 0x98:
      return 4;
    case 0x93:  // blocks of 4 x 4 in 16 bytes: BC2, BC3, BC5, BC6H, BC7
    case 0x94:
    case 0x95:
    case 0x96:
    case 0x99:
    case 0x9a:
    case 0x9b:
    case 0x9c:
    case 0x9d:
    case 0x9e:
      return 8;
    case 0xb0:  // NV12
      return 12;
    case 0xc0:  // one to four normalised channels of 8 or 16 bits
    case 0xc6:
      return 8;
    case 0xc1:
    case 0xc3:
    case 0xc7:
    case 0xc9:
      return 16;
    case 0xc2:
    case 0xc4:
    case 0xc8:
    case 0xca:
    case 0x50:
      return 32;
    case 0xc5:
    case 0xcb:
      return 64;
    default:
      return 32 * each;
  }
}

uint64_t AtLeastOne(uint64_t extent) { return extent == 0 ? 1 : extent; }

// Formats in blocks are stored in whole blocks of 4 x 4.
uint64_t Padded(uint64_t extent, bool in_blocks) {
  const uint64_t whole = AtLeastOne(extent);
  return in_blocks && whole <= UINT64_MAX - 3 ? (whole + 3) / 4 * 4 : whole;
}

// UINT64_MAX when the product does not fit: no card can hold it.
uint64_t LevelBytes(const CUDA_ARRAY3D_DESCRIPTOR& shape) {
  const bool in_blocks = shape.format >= 0x91 && shape.format <= 0x9e;
  uint64_t bits = ElementBits(shape.format, shape.channels);
  for (const uint64_t factor :
       {Padded(shape.width, in_blocks), Padded(shape.height, in_blocks), AtLeastOne(shape.depth)}) {
    if (__builtin_mul_overflow(bits, factor, &bits)) return UINT64_MAX;
  }
  return bits / 8 + (bits % 8 != 0 ? 1 : 0);
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
  const Record record = hami::limiter::hook::RecordOf(
      current, Space::kArray, hami::limiter::hook::KeyOf(*array),
      TakenBytes(ask, *array, current.ordinal, expected), HAMI_KIND_DATA);
  return hami::limiter::hook::Book(room, record, [&] {
    if (undo != nullptr) undo(*array);
  });
}

template <class Call>
CUresult Destroy(void* array, Call call) {
  return hami::limiter::hook::FreeRecorded(Space::kArray, hami::limiter::hook::KeyOf(array), call);
}

// Has no memory of its own: blocks are bound to it later.
bool IsSparse(unsigned flags) {
  return (flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING)) != 0;
}

template <class Call, class Undo>
CUresult CreateSparse(void** array, Call call, Undo undo) {
  const CUresult result = call();
  if (result != CUDA_SUCCESS || array == nullptr) return result;
  Record record = hami::limiter::hook::RecordOf(
      CurrentDevice(), Space::kArray, hami::limiter::hook::KeyOf(*array), 0, HAMI_KIND_VMM);
  record.link = hami::limiter::hook::NewIdentity();
  if (hami::limiter::hook::Remember(record)) return result;
  if (undo != nullptr) undo(*array);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

template <class Descriptor, class Call>
CUresult Create2D(CUarray* array, const Descriptor& shape, Call call) {
  return Create(array, LevelBytes({shape.width, shape.height, 0, shape.format, shape.channels, 0}),
                call, HAMI_REAL(cuArrayGetMemoryRequirements), HAMI_REAL(cuArrayDestroy));
}

template <class Descriptor, class Call>
CUresult Create3D(CUarray* array, const Descriptor& shape, Call call) {
  if (IsSparse(shape.flags)) return CreateSparse(array, call, HAMI_REAL(cuArrayDestroy));
  return Create(array,
                LevelBytes({shape.width, shape.height, shape.depth, shape.format, shape.channels,
                            shape.flags}),
                call, HAMI_REAL(cuArrayGetMemoryRequirements), HAMI_REAL(cuArrayDestroy));
}

}  // namespace

extern "C" {

CUresult cuArrayCreate_v2(CUarray* array, const CUDA_ARRAY_DESCRIPTOR* descriptor) {
  HAMI_ACT(cuArrayCreate_v2, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  return Create2D(array, *descriptor, [&] { return real(array, descriptor); });
}

CUresult cuArrayCreate(CUarray* array, const CUDA_ARRAY_DESCRIPTOR_v1* descriptor) {
  HAMI_ACT(cuArrayCreate, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  return Create2D(array, *descriptor, [&] { return real(array, descriptor); });
}

CUresult cuArray3DCreate_v2(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor) {
  HAMI_ACT(cuArray3DCreate_v2, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  return Create3D(array, *descriptor, [&] { return real(array, descriptor); });
}

CUresult cuArray3DCreate(CUarray* array, const CUDA_ARRAY3D_DESCRIPTOR_v1* descriptor) {
  HAMI_ACT(cuArray3DCreate, array, descriptor);
  if (descriptor == nullptr) return real(array, descriptor);
  return Create3D(array, *descriptor, [&] { return real(array, descriptor); });
}

CUresult cuArrayDestroy(CUarray array) {
  HAMI_ACT(cuArrayDestroy, array);
  return Destroy(array, [&] { return real(array); });
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray* array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor,
                                unsigned levels) {
  HAMI_ACT(cuMipmappedArrayCreate, array, descriptor, levels);
  if (descriptor == nullptr) return real(array, descriptor, levels);
  const auto call = [&] { return real(array, descriptor, levels); };
  const auto undo = HAMI_REAL(cuMipmappedArrayDestroy);
  if (IsSparse(descriptor->flags)) return CreateSparse(array, call, undo);
  return Create(array, MipmapBytes(*descriptor, levels), call,
                HAMI_REAL(cuMipmappedArrayGetMemoryRequirements), undo);
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray array) {
  HAMI_ACT(cuMipmappedArrayDestroy, array);
  return Destroy(array, [&] { return real(array); });
}

}  // extern "C"
