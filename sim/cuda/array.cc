// Arrays: opaque memory of the card, charged by its real size.
#include "sim/cuda/array.h"

namespace hami::sim {

namespace {

uint64_t ChannelBytes(int format) {
  switch (format) {
    case 0x01:
    case 0x08:
      return 1;
    case 0x02:
    case 0x09:
    case 0x10:
      return 2;
    case 0x03:
    case 0x0a:
    case 0x20:
      return 4;
    default:
      return 0;
  }
}

}  // namespace

uint64_t ElementBytes(const CudaArray3dDescriptor& shape) {
  return ChannelBytes(shape.format) * shape.channels;
}

namespace {

int MakeArray(Driver& driver, Array** out, const CudaArray3dDescriptor& shape) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  const uint64_t element = ChannelBytes(shape.format);
  const bool channels_ok = shape.channels == 1 || shape.channels == 2 || shape.channels == 4;
  if (element == 0 || !channels_ok || shape.width == 0) return kCudaInvalidValue;
  uint64_t size = element * shape.channels;
  for (uint64_t extent : {shape.width, shape.height, shape.depth}) {
    if (__builtin_mul_overflow(size, extent == 0 ? 1 : extent, &size)) return kCudaOutOfMemory;
  }
  if (const int code = driver.Charge(context->card, size, Kind::kArray); code != 0) return code;
  auto* array = driver.New<Array>();
  if (array == nullptr) return kCudaOutOfMemory;
  array->context = context;
  array->card = context->card;
  array->charged = size;
  array->shape = shape;
  *out = array;
  return kCudaSuccess;
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuArrayCreate_v2(Array** out, const CudaArrayDescriptor* d) {
  SIM_CUDA_CALL(cuArrayCreate_v2);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(d);
  return MakeArray(driver, out,
                   CudaArray3dDescriptor{d->width, d->height, 0, d->format, d->channels, 0});
}

SIM_CUDA cuArray3DCreate_v2(Array** out, const CudaArray3dDescriptor* descriptor) {
  SIM_CUDA_CALL(cuArray3DCreate_v2);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(descriptor);
  return MakeArray(driver, out, *descriptor);
}

SIM_CUDA cuArrayDestroy(Array* array) {
  SIM_CUDA_CALL(cuArrayDestroy);
  if (!IsLive(array)) return kCudaInvalidHandle;
  driver.ledger().Give(array->card, array->charged, Kind::kArray);
  driver.Delete(array);
  return kCudaSuccess;
}

SIM_CUDA cuArrayGetDescriptor_v2(CudaArrayDescriptor* out, Array* array) {
  SIM_CUDA_CALL(cuArrayGetDescriptor_v2);
  SIM_CUDA_OUT(out);
  if (!IsLive(array)) return kCudaInvalidHandle;
  const CudaArray3dDescriptor& s = array->shape;
  *out = CudaArrayDescriptor{s.width, s.height, s.format, s.channels};
  return kCudaSuccess;
}

SIM_CUDA cuArray3DGetDescriptor_v2(CudaArray3dDescriptor* out, Array* array) {
  SIM_CUDA_CALL(cuArray3DGetDescriptor_v2);
  SIM_CUDA_OUT(out);
  if (!IsLive(array)) return kCudaInvalidHandle;
  *out = array->shape;
  return kCudaSuccess;
}

namespace {

struct MemoryRequirements {
  size_t size, alignment;
  uint32_t reserved[4];
};
constexpr size_t kAlignment = 512;

void EndArray(Driver& driver, Array* array) {
  driver.ledger().Give(array->card, array->charged, Kind::kArray);
  driver.Delete(array);
}

size_t Halved(size_t extent, unsigned times) {
  if (extent == 0) return 0;
  return extent >> times == 0 ? 1 : extent >> times;
}

}  // namespace

SIM_CUDA cuArrayGetMemoryRequirements(MemoryRequirements* out, Array* array, CudaDevice) {
  SIM_CUDA_CALL(cuArrayGetMemoryRequirements);
  SIM_CUDA_OUT(out);
  if (!IsLive(array)) return kCudaInvalidHandle;
  *out = {array->charged, kAlignment, {}};
  return kCudaSuccess;
}

SIM_CUDA cuMipmappedArrayCreate(MipmappedArray** out, const CudaArray3dDescriptor* descriptor,
                                unsigned levels) {
  SIM_CUDA_CALL(cuMipmappedArrayCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(descriptor);
  if (levels == 0) return kCudaInvalidValue;
  size_t longest = descriptor->width;
  if (descriptor->height > longest) longest = descriptor->height;
  if (descriptor->depth > longest) longest = descriptor->depth;
  unsigned possible = 1;
  while (possible < MipmappedArray::kMostLevels && longest >> possible != 0) ++possible;
  auto* mipmap = driver.New<MipmappedArray>();
  if (mipmap == nullptr) return kCudaOutOfMemory;
  for (unsigned level = 0; level < (levels < possible ? levels : possible); ++level) {
    CudaArray3dDescriptor shape = *descriptor;
    shape.width = Halved(shape.width, level);
    shape.height = Halved(shape.height, level);
    shape.depth = Halved(shape.depth, level);
    const int code = MakeArray(driver, &mipmap->levels[level], shape);
    if (code != kCudaSuccess) {
      for (unsigned made = 0; made < mipmap->count; ++made) EndArray(driver, mipmap->levels[made]);
      driver.Delete(mipmap);
      return code;
    }
    ++mipmap->count;
  }
  *out = mipmap;
  return kCudaSuccess;
}
SIM_CUDA cuMipmappedArrayGetLevel(Array** out, MipmappedArray* mipmap, unsigned level) {
  SIM_CUDA_CALL(cuMipmappedArrayGetLevel);
  SIM_CUDA_OUT(out);
  if (!IsLive(mipmap)) return kCudaInvalidHandle;
  if (level >= mipmap->count) return kCudaInvalidValue;
  *out = mipmap->levels[level];
  return kCudaSuccess;
}
SIM_CUDA cuMipmappedArrayDestroy(MipmappedArray* mipmap) {
  SIM_CUDA_CALL(cuMipmappedArrayDestroy);
  if (!IsLive(mipmap)) return kCudaInvalidHandle;
  for (unsigned level = 0; level < mipmap->count; ++level) {
    EndArray(driver, mipmap->levels[level]);
  }
  driver.Delete(mipmap);
  return kCudaSuccess;
}
SIM_CUDA cuMipmappedArrayGetMemoryRequirements(MemoryRequirements* out, MipmappedArray* mipmap,
                                               CudaDevice) {
  SIM_CUDA_CALL(cuMipmappedArrayGetMemoryRequirements);
  SIM_CUDA_OUT(out);
  if (!IsLive(mipmap)) return kCudaInvalidHandle;
  *out = {0, kAlignment, {}};
  for (unsigned level = 0; level < mipmap->count; ++level) {
    out->size += mipmap->levels[level]->charged;
  }
  return kCudaSuccess;
}
