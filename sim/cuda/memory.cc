// Memory that a program asks for by size: device, managed, pitched, page-locked host.
#include "sim/cuda/graph.h"

using namespace hami::sim;  // NOLINT: mostly exported C functions below

namespace {

// A block in the current context, charged to its card.
int AllocateBlock(Driver& driver, Context* context, uint64_t size, BlockKind kind, Block** out) {
  if (size == 0) return kCudaInvalidValue;
  const bool on_card = kind != BlockKind::kHost;
  if (on_card) {
    if (const int code = driver.Charge(context->card, size, Kind::kData); code != 0) return code;
  }
  const bool backed =
      kind == BlockKind::kManaged || kind == BlockKind::kHost || driver.machine().cards().keep_data;
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Allocate(size, backed);
  if (block == nullptr) {
    if (on_card) driver.ledger().Give(context->card, size, Kind::kData);
    return kCudaOutOfMemory;
  }
  block->kind = kind;
  block->card = context->card;
  block->charged = on_card ? size : 0;
  block->context = context;
  block->next = context->blocks;
  if (block->next != nullptr) block->next->previous = block;
  context->blocks = block;
  *out = block;
  return kCudaSuccess;
}

int FreeAt(Driver& driver, uint64_t address, bool host) {
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Find(address);
  const bool right_kind = block != nullptr && (block->kind == BlockKind::kHost) == host &&
                          block->kind != BlockKind::kReserved;
  if (!right_kind || block->base != address) return kCudaInvalidValue;
  if (block->kind == BlockKind::kGraph) return FreeGraphBlock(driver, block);
  driver.FreeBlock(block);
  return kCudaSuccess;
}

int AllocateHost(Driver& driver, void** out, size_t size) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  SIM_CUDA_OUT(out);
  Block* block = nullptr;
  if (const int code = AllocateBlock(driver, context, size, BlockKind::kHost, &block); code != 0) {
    return code;
  }
  *out = reinterpret_cast<void*>(block->base);
  return kCudaSuccess;
}

}  // namespace

SIM_CUDA cuMemAlloc_v2(DevicePointer* out, size_t size) {
  SIM_CUDA_CALL(cuMemAlloc_v2);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  SIM_CUDA_OUT(out);
  Block* block = nullptr;
  const int code = AllocateBlock(driver, context, size, BlockKind::kDevice, &block);
  if (code == kCudaSuccess) *out = block->base;
  return code;
}

SIM_CUDA cuMemAllocManaged(DevicePointer* out, size_t size, unsigned flags) {
  SIM_CUDA_CALL(cuMemAllocManaged);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  SIM_CUDA_OUT(out);
  constexpr unsigned kGlobal = 1, kHost = 2;
  if (flags != kGlobal && flags != kHost) return kCudaInvalidValue;
  Block* block = nullptr;
  const int code = AllocateBlock(driver, context, size, BlockKind::kManaged, &block);
  if (code == kCudaSuccess) *out = block->base;
  return code;
}

SIM_CUDA cuMemAllocPitch_v2(DevicePointer* out, size_t* pitch, size_t width, size_t height,
                            unsigned element) {
  SIM_CUDA_CALL(cuMemAllocPitch_v2);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(pitch);
  if (element != 4 && element != 8 && element != 16) return kCudaInvalidValue;
  constexpr size_t kPitch = 512;
  if (width > SIZE_MAX - kPitch) return kCudaInvalidValue;
  const size_t row = (width + kPitch - 1) / kPitch * kPitch;
  size_t size = 0;
  if (__builtin_mul_overflow(row, height, &size)) return kCudaOutOfMemory;
  Block* block = nullptr;
  const int code = AllocateBlock(driver, context, size, BlockKind::kDevice, &block);
  if (code != kCudaSuccess) return code;
  *out = block->base;
  *pitch = row;
  return kCudaSuccess;
}

SIM_CUDA cuMemFree_v2(DevicePointer address) {
  SIM_CUDA_CALL(cuMemFree_v2);
  if (address == 0) return kCudaSuccess;
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  return FreeAt(driver, address, false);
}

SIM_CUDA cuMemGetInfo_v2(size_t* free_bytes, size_t* total_bytes) {
  SIM_CUDA_CALL(cuMemGetInfo_v2);
  SIM_CUDA_CONTEXT();
  const uint64_t total = driver.card(context->card).memory_bytes;
  const uint64_t used = driver.ledger().Used(context->card);
  if (free_bytes != nullptr) *free_bytes = used < total ? total - used : 0;
  if (total_bytes != nullptr) *total_bytes = total;
  return kCudaSuccess;
}
SIM_CUDA cuMemGetInfo(unsigned* free_bytes, unsigned* total_bytes) {
  size_t free64 = 0, total64 = 0;
  if (const int code = cuMemGetInfo_v2(&free64, &total64); code != 0) return code;
  constexpr size_t kMost = 0xffffffff;  // the form of CUDA 3.1 counts in 32 bits
  if (free_bytes != nullptr) *free_bytes = static_cast<unsigned>(free64 < kMost ? free64 : kMost);
  if (total_bytes != nullptr) {
    *total_bytes = static_cast<unsigned>(total64 < kMost ? total64 : kMost);
  }
  return kCudaSuccess;
}

SIM_CUDA cuMemGetAddressRange_v2(DevicePointer* base, size_t* size, DevicePointer address) {
  SIM_CUDA_CALL(cuMemGetAddressRange_v2);
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->kind == BlockKind::kHost) return kCudaInvalidValue;
  if (base != nullptr) *base = block->base;
  if (size != nullptr) *size = block->size;
  return kCudaSuccess;
}

SIM_CUDA cuMemAllocHost_v2(void** out, size_t size) {
  SIM_CUDA_CALL(cuMemAllocHost_v2);
  return AllocateHost(driver, out, size);
}
SIM_CUDA cuMemAllocHost(void** out, unsigned size) {
  SIM_CUDA_CALL(cuMemAllocHost);
  return AllocateHost(driver, out, size);
}
SIM_CUDA cuMemHostAlloc(void** out, size_t size, unsigned flags) {
  SIM_CUDA_CALL(cuMemHostAlloc);
  if (flags > 7) return kCudaInvalidValue;
  return AllocateHost(driver, out, size);
}

SIM_CUDA cuMemFreeHost(void* pointer) {
  SIM_CUDA_CALL(cuMemFreeHost);
  if (pointer == nullptr) return kCudaSuccess;
  SIM_CUDA_CONTEXT();
  SIM_CUDA_UNSAFE();
  return FreeAt(driver, reinterpret_cast<uintptr_t>(pointer), true);
}

SIM_CUDA cuMemHostGetDevicePointer_v2(DevicePointer* out, void* pointer, unsigned flags) {
  SIM_CUDA_CALL(cuMemHostGetDevicePointer_v2);
  SIM_CUDA_OUT(out);
  if (flags != 0) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(reinterpret_cast<uintptr_t>(pointer));
  if (block == nullptr || block->kind != BlockKind::kHost) return kCudaInvalidValue;
  *out = reinterpret_cast<uintptr_t>(pointer);
  return kCudaSuccess;
}

SIM_CUDA cuMemHostGetFlags(unsigned* flags, void* pointer) {
  SIM_CUDA_CALL(cuMemHostGetFlags);
  SIM_CUDA_OUT(flags);
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(reinterpret_cast<uintptr_t>(pointer));
  if (block == nullptr || block->kind != BlockKind::kHost) return kCudaInvalidValue;
  *flags = 0;
  return kCudaSuccess;
}

SIM_CUDA cuMemAdvise(DevicePointer address, size_t size, int, CudaDevice) {
  SIM_CUDA_CALL(cuMemAdvise);
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  return block != nullptr && block->kind == BlockKind::kManaged &&
                 size <= block->size - (address - block->base)
             ? kCudaSuccess
             : kCudaInvalidValue;
}
SIM_CUDA cuMemAdvise_v2(DevicePointer address, size_t size, int advice, CudaLocation) {
  return cuMemAdvise(address, size, advice, 0);
}

namespace {

int PointerAttribute(Driver& driver, void* data, int attribute, DevicePointer address) {
  constexpr int kContext = 1, kMemoryType = 2, kDevicePointer = 3, kHostPointer = 4, kManaged = 8,
                kOrdinal = 9, kRangeStart = 11, kRangeSize = 12, kMapped = 13;
  MutexGuard guard(driver.memory_mutex);
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr) return kCudaInvalidValue;
  const bool host = block->kind == BlockKind::kHost;
  switch (attribute) {
    case kContext:
      *static_cast<const Context**>(data) = block->context;
      return kCudaSuccess;
    case kMemoryType:
      *static_cast<unsigned*>(data) = host ? 1 : 2;
      return kCudaSuccess;
    case kDevicePointer:
      *static_cast<DevicePointer*>(data) = address;
      return kCudaSuccess;
    case kHostPointer:
      if (!host && block->kind != BlockKind::kManaged) return kCudaInvalidValue;
      *static_cast<DevicePointer*>(data) = address;
      return kCudaSuccess;
    case kManaged:
      *static_cast<unsigned*>(data) = block->kind == BlockKind::kManaged ? 1 : 0;
      return kCudaSuccess;
    case kOrdinal:
      *static_cast<int*>(data) = block->context != nullptr ? block->context->device : 0;
      return kCudaSuccess;
    case kRangeStart:
      *static_cast<DevicePointer*>(data) = block->base;
      return kCudaSuccess;
    case kRangeSize:
      *static_cast<size_t*>(data) = block->size;
      return kCudaSuccess;
    case kMapped:
      *static_cast<unsigned*>(data) = 1;
      return kCudaSuccess;
    default:
      return kCudaNotSupported;
  }
}

}  // namespace

SIM_CUDA cuPointerGetAttribute(void* data, int attribute, DevicePointer address) {
  SIM_CUDA_CALL(cuPointerGetAttribute);
  SIM_CUDA_OUT(data);
  return PointerAttribute(driver, data, attribute, address);
}

// Unlike the single form it succeeds for foreign pointers and leaves zeros.
SIM_CUDA cuPointerGetAttributes(unsigned count, int* attributes, void** data,
                                DevicePointer address) {
  SIM_CUDA_CALL(cuPointerGetAttributes);
  SIM_CUDA_OUT(attributes);
  SIM_CUDA_OUT(data);
  for (unsigned i = 0; i < count; ++i) {
    if (PointerAttribute(driver, data[i], attributes[i], address) == kCudaSuccess) continue;
    const bool wide = attributes[i] == 1 || attributes[i] == 3 || attributes[i] == 4 ||
                      attributes[i] == 11 || attributes[i] == 12;
    if (wide) {
      *static_cast<uint64_t*>(data[i]) = 0;
    } else {
      *static_cast<uint32_t*>(data[i]) = 0;
    }
  }
  return kCudaSuccess;
}
