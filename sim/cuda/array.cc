// Arrays: opaque memory of the card, charged by its real size.
#include "sim/cuda/array.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "sim/cuda/vmm.h"

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
  // Memory comes to these later, piece by piece or as a whole.
  if ((shape.flags & (kSparseArray | kDeferredArray)) != 0) size = 0;
  if (size != 0) {
    if (const int code = driver.Charge(context->card, size, Kind::kArray); code != 0) return code;
  }
  auto* array = driver.New<Array>();
  if (array == nullptr) return kCudaOutOfMemory;
  MutexGuard guard(driver.memory_mutex);
  array->next = context->arrays;
  context->arrays = array;
  array->context = context;
  array->card = context->card;
  array->charged = size;
  array->shape = shape;
  *out = array;
  return kCudaSuccess;
}

// memory_mutex held.
void EndArray(Driver& driver, Array* array) {
  DropTiles(driver, &array->tiles);
  Array** at = &array->context->arrays;
  while (*at != array) at = &(*at)->next;
  *at = array->next;
  if (array->charged != 0) driver.ledger().Give(array->card, array->charged, Kind::kArray);
  driver.Delete(array);
}

}  // namespace

void DropTiles(Driver& driver, Tile** tiles) {
  while (*tiles != nullptr) {
    Tile* const tile = *tiles;
    *tiles = tile->next;
    --tile->physical->mappings;
    DropIfUnused(driver, tile->physical);
    free(tile);
  }
}

void EndArraysOf(Driver& driver, Context* context) {
  while (context->arrays != nullptr) EndArray(driver, context->arrays);
}

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

// The forms of CUDA 3.1 count in 32 bits.
struct ArrayDescriptorV1 {
  uint32_t width, height;
  int32_t format;
  uint32_t channels;
};
struct Array3dDescriptorV1 {
  uint32_t width, height, depth;
  int32_t format;
  uint32_t channels, flags;
};

SIM_CUDA cuArrayCreate(Array** out, const ArrayDescriptorV1* d) {
  SIM_CUDA_CALL(cuArrayCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(d);
  return MakeArray(driver, out,
                   CudaArray3dDescriptor{d->width, d->height, 0, d->format, d->channels, 0});
}

SIM_CUDA cuArray3DCreate(Array** out, const Array3dDescriptorV1* d) {
  SIM_CUDA_CALL(cuArray3DCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(d);
  return MakeArray(
      driver, out,
      CudaArray3dDescriptor{d->width, d->height, d->depth, d->format, d->channels, d->flags});
}

SIM_CUDA cuArrayDestroy(Array* array) {
  SIM_CUDA_CALL(cuArrayDestroy);
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(array)) return kCudaInvalidHandle;
  EndArray(driver, array);
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

void EndLevels(Driver& driver, MipmappedArray* mipmap) {
  MutexGuard guard(driver.memory_mutex);
  DropTiles(driver, &mipmap->tiles);
  for (unsigned level = 0; level < mipmap->count; ++level) {
    if (IsLive(mipmap->levels[level])) EndArray(driver, mipmap->levels[level]);
  }
  driver.Delete(mipmap);
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
      EndLevels(driver, mipmap);
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
  EndLevels(driver, mipmap);
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

// Sparse arrays: which tile is where does not matter, what keeps memory alive does.
struct ArrayMapInfo {
  int32_t resource_type;  // 0 array, 1 mipmapped array
  void* resource;
  int32_t kind;  // of place
  alignas(8) unsigned char place[32];
  int32_t operation;  // 1 map, 2 unmap
  int32_t handle_type;
  Physical* physical;
  uint64_t offset;
  uint32_t devices, flags, reserved[2];
};
static_assert(sizeof(ArrayMapInfo) == 96 && offsetof(ArrayMapInfo, operation) == 56);

namespace {

constexpr int kMap = 1, kUnmap = 2;

Tile** TilesOf(const ArrayMapInfo& info) {
  if (info.resource_type == 0) {
    auto* array = static_cast<Array*>(info.resource);
    return IsLive(array) && (array->shape.flags & kSparseArray) != 0 ? &array->tiles : nullptr;
  }
  auto* mipmap = static_cast<MipmappedArray*>(info.resource);
  const bool is_sparse = IsLive(mipmap) && (mipmap->levels[0]->shape.flags & kSparseArray) != 0;
  return is_sparse ? &mipmap->tiles : nullptr;
}

// memory_mutex held.
int MapTile(Driver& driver, const ArrayMapInfo& info) {
  Tile** at = TilesOf(info);
  if (at == nullptr || (info.operation != kMap && info.operation != kUnmap)) {
    return kCudaInvalidValue;
  }
  if (info.operation == kMap && !IsLive(info.physical)) return kCudaInvalidValue;
  while (*at != nullptr &&
         ((*at)->kind != info.kind || memcmp((*at)->place, info.place, sizeof info.place) != 0)) {
    at = &(*at)->next;
  }
  Tile* const there = *at;
  if (there == nullptr && info.operation == kUnmap) return kCudaSuccess;
  if (info.operation == kMap) ++info.physical->mappings;
  if (there == nullptr) {
    *at = static_cast<Tile*>(malloc(sizeof(Tile)));
    if (*at == nullptr) return kCudaOutOfMemory;
    (*at)->next = nullptr;
    (*at)->kind = info.kind;
    memcpy((*at)->place, info.place, sizeof info.place);
    (*at)->physical = info.physical;
    return kCudaSuccess;
  }
  --there->physical->mappings;
  DropIfUnused(driver, there->physical);
  there->physical = info.physical;
  if (info.operation == kUnmap) {
    *at = there->next;
    free(there);
  }
  return kCudaSuccess;
}

int MapTiles(Driver& driver, const ArrayMapInfo* list, unsigned count) {
  SIM_CUDA_OUT(list);
  MutexGuard guard(driver.memory_mutex);
  for (unsigned i = 0; i < count; ++i) {
    if (const int code = MapTile(driver, list[i]); code != 0) return code;
  }
  return kCudaSuccess;
}

}  // namespace

SIM_CUDA cuMemMapArrayAsync(ArrayMapInfo* list, unsigned count, CudaStream*) {
  SIM_CUDA_CALL(cuMemMapArrayAsync);
  return MapTiles(driver, list, count);
}
SIM_CUDA cuMemMapArrayAsync_ptsz(ArrayMapInfo* list, unsigned count, CudaStream*) {
  SIM_CUDA_CALL(cuMemMapArrayAsync_ptsz);
  return MapTiles(driver, list, count);
}
