// Copies and fills: every range is checked against the blocks; contents move only where they are
// kept (`data: kept`, managed and host memory). What was discarded reads as zeros. Copies take no
// time on the card (sim/README.md, limits).
#include <cstring>

#include "sim/cuda/driver.h"
#include "sim/cuda/vmm.h"

using namespace hami::sim;  // NOLINT: mostly exported C functions below

namespace {

enum class Side { kHost, kDevice, kEither };

// Bytes at an address as this process may touch them; null: they are on the card and discarded.
struct Range {
  bool ok = false;
  char* bytes = nullptr;
};

Range Locate(Driver& driver, uint64_t address, size_t size, Side side) {
  const Block* block = driver.addresses().Find(address);
  if (block == nullptr) {
    return {side != Side::kDevice, reinterpret_cast<char*>(address)};
  }
  if (block->kind == BlockKind::kReserved) {
    if (!IsMapped(*block, address, size)) return {};
  } else if (size > block->size - (address - block->base)) {
    return {};
  }
  const bool readable = block->kind == BlockKind::kManaged || block->kind == BlockKind::kHost ||
                        (block->kind != BlockKind::kReserved && driver.machine().cards().keep_data);
  return {true, readable ? reinterpret_cast<char*>(address) : nullptr};
}

int Copy(Driver& driver, uint64_t to, Side to_side, uint64_t from, Side from_side, size_t size) {
  SIM_CUDA_CONTEXT();
  if (size == 0) return kCudaSuccess;
  MutexGuard guard(driver.memory_mutex);
  const Range source = Locate(driver, from, size, from_side);
  const Range target = Locate(driver, to, size, to_side);
  if (!source.ok || !target.ok) return kCudaInvalidValue;
  if (target.bytes == nullptr) return kCudaSuccess;
  if (source.bytes != nullptr) {
    memmove(target.bytes, source.bytes, size);
  } else {
    memset(target.bytes, 0, size);
  }
  return kCudaSuccess;
}

// height rows of count elements, pitch bytes apart.
template <class T>
int Fill(Driver& driver, uint64_t to, size_t pitch, T value, size_t count, size_t height) {
  SIM_CUDA_CONTEXT();
  if (to % sizeof(T) != 0) return kCudaInvalidValue;
  if (count == 0 || height == 0) return kCudaSuccess;
  size_t row = 0, size = 0;
  if (__builtin_mul_overflow(count, sizeof(T), &row) || (height > 1 && pitch < row) ||
      __builtin_mul_overflow(pitch, height - 1, &size) ||
      __builtin_add_overflow(size, row, &size)) {
    return kCudaInvalidValue;
  }
  MutexGuard guard(driver.memory_mutex);
  const Range target = Locate(driver, to, size, Side::kDevice);
  if (!target.ok) return kCudaInvalidValue;
  if (target.bytes == nullptr) return kCudaSuccess;
  for (size_t y = 0; y < height; ++y) {
    for (size_t x = 0; x < count; ++x) {
      memcpy(target.bytes + y * pitch + x * sizeof(T), &value, sizeof(T));
    }
  }
  return kCudaSuccess;
}

uint64_t AddressOf(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

int CheckStream(CudaStream* handle, bool per_thread) {
  SIM_CUDA_CONTEXT();
  CudaStream* stream = nullptr;
  return ResolveStream(handle, per_thread, context, &stream);
}

}  // namespace

// name and its per-thread form; the asynchronous ones check their stream first.
#define SIM_COPY(name, parameters, body) \
  SIM_CUDA name parameters {             \
    SIM_CUDA_CALL(name);                 \
    return body;                         \
  }                                      \
  SIM_CUDA name##_ptds parameters {      \
    SIM_CUDA_CALL(name##_ptds);          \
    return body;                         \
  }
#define SIM_COPY_ASYNC(name, parameters, body)                               \
  SIM_CUDA name parameters {                                                 \
    SIM_CUDA_CALL(name);                                                     \
    if (const int code = CheckStream(stream, false); code != 0) return code; \
    return body;                                                             \
  }                                                                          \
  SIM_CUDA name##_ptsz parameters {                                          \
    SIM_CUDA_CALL(name##_ptsz);                                              \
    if (const int code = CheckStream(stream, true); code != 0) return code;  \
    return body;                                                             \
  }

SIM_COPY(cuMemcpy, (DevicePointer to, DevicePointer from, size_t size),
         Copy(driver, to, Side::kEither, from, Side::kEither, size))
SIM_COPY(cuMemcpyHtoD_v2, (DevicePointer to, const void* from, size_t size),
         Copy(driver, to, Side::kDevice, AddressOf(from), Side::kHost, size))
SIM_COPY(cuMemcpyDtoH_v2, (void* to, DevicePointer from, size_t size),
         Copy(driver, AddressOf(to), Side::kHost, from, Side::kDevice, size))
SIM_COPY(cuMemcpyDtoD_v2, (DevicePointer to, DevicePointer from, size_t size),
         Copy(driver, to, Side::kDevice, from, Side::kDevice, size))
SIM_COPY(cuMemcpyPeer, (DevicePointer to, Context*, DevicePointer from, Context*, size_t size),
         Copy(driver, to, Side::kDevice, from, Side::kDevice, size))
SIM_COPY_ASYNC(cuMemcpyAsync,
               (DevicePointer to, DevicePointer from, size_t size, CudaStream* stream),
               Copy(driver, to, Side::kEither, from, Side::kEither, size))
SIM_COPY_ASYNC(cuMemcpyHtoDAsync_v2,
               (DevicePointer to, const void* from, size_t size, CudaStream* stream),
               Copy(driver, to, Side::kDevice, AddressOf(from), Side::kHost, size))
SIM_COPY_ASYNC(cuMemcpyDtoHAsync_v2,
               (void* to, DevicePointer from, size_t size, CudaStream* stream),
               Copy(driver, AddressOf(to), Side::kHost, from, Side::kDevice, size))
SIM_COPY_ASYNC(cuMemcpyDtoDAsync_v2,
               (DevicePointer to, DevicePointer from, size_t size, CudaStream* stream),
               Copy(driver, to, Side::kDevice, from, Side::kDevice, size))
SIM_COPY_ASYNC(cuMemcpyPeerAsync,
               (DevicePointer to, Context*, DevicePointer from, Context*, size_t size,
                CudaStream* stream),
               Copy(driver, to, Side::kDevice, from, Side::kDevice, size))

#define SIM_FILL(bits, type)                                                               \
  SIM_COPY(cuMemsetD##bits##_v2, (DevicePointer to, type value, size_t count),             \
           Fill(driver, to, 0, value, count, 1))                                           \
  SIM_COPY(cuMemsetD2D##bits##_v2,                                                         \
           (DevicePointer to, size_t pitch, type value, size_t width, size_t height),      \
           Fill(driver, to, pitch, value, width, height))                                  \
  SIM_COPY_ASYNC(cuMemsetD##bits##Async,                                                   \
                 (DevicePointer to, type value, size_t count, CudaStream * stream),        \
                 Fill(driver, to, 0, value, count, 1))                                     \
  SIM_COPY_ASYNC(cuMemsetD2D##bits##Async,                                                 \
                 (DevicePointer to, size_t pitch, type value, size_t width, size_t height, \
                  CudaStream * stream),                                                    \
                 Fill(driver, to, pitch, value, width, height))
SIM_FILL(8, unsigned char)
SIM_FILL(16, unsigned short)
SIM_FILL(32, unsigned)
