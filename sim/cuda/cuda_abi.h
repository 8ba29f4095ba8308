// The CUDA driver's C interface as far as the simulated library acts on it: own declarations of
// public types and codes (spec libvgpu.md C3, D1). Layouts are those of CUDA 12.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hami::sim {

enum CudaResult : int {
  kCudaSuccess = 0,
  kCudaInvalidValue = 1,
  kCudaOutOfMemory = 2,
  kCudaNotInitialized = 3,
  kCudaDeviceUnavailable = 46,
  kCudaNoDevice = 100,
  kCudaInvalidDevice = 101,
  kCudaInvalidContext = 201,
  kCudaAlreadyMapped = 208,
  kCudaInvalidHandle = 400,
  kCudaNotFound = 500,
  kCudaNotReady = 600,
  kCudaContextIsDestroyed = 709,
  kCudaNotPermitted = 800,
  kCudaNotSupported = 801,
  kCudaUnknown = 999,
};

using CudaDevice = int;
using DevicePointer = uint64_t;

struct CudaUuid {
  uint8_t bytes[16];
};

struct CudaLaunchConfig {
  uint32_t grid[3], block[3], shared_bytes;
  struct CudaStream* stream;
  void* attributes;
  uint32_t attribute_count;
};

struct CudaLocation {
  int32_t type, id;
};
inline constexpr int kLocationDevice = 1;

struct CudaAllocationProperties {
  int32_t type, handle_types;
  CudaLocation location;
  void* win32;
  uint8_t flags[8];
};

struct CudaPoolProperties {
  int32_t alloc_type, handle_types;
  CudaLocation location;
  void* win32;
  size_t max_size;
  uint8_t reserved[56];
};

struct CudaAccess {
  CudaLocation location;
  int32_t flags;
};

struct CudaArrayDescriptor {
  size_t width, height;
  int32_t format;
  uint32_t channels;
};

struct CudaArray3dDescriptor {
  size_t width, height, depth;
  int32_t format;
  uint32_t channels, flags;
};

}  // namespace hami::sim
