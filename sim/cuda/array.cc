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
