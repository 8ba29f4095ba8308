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
  kCudaIllegalState = 401,
  kCudaNotFound = 500,
  kCudaNotReady = 600,
  kCudaContextIsDestroyed = 709,
  kCudaLaunchTooLarge = 720,
  kCudaNotPermitted = 800,
  kCudaNotSupported = 801,
  kCudaCaptureUnsupported = 900,
  kCudaCaptureInvalidated = 901,
  kCudaCaptureMerge = 902,
  kCudaCaptureUnmatched = 903,
  kCudaCaptureUnjoined = 904,
  kCudaCaptureIsolation = 905,
  kCudaCaptureImplicit = 906,
  kCudaCapturedEvent = 907,
  kCudaCaptureWrongThread = 908,
  kCudaGraphUpdateFailure = 910,
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

// One entry of cuLaunchCooperativeKernelMultiDevice.
struct CudaLaunchParams {
  void* function;
  uint32_t grid[3], block[3], shared_bytes;
  struct CudaStream* stream;
  void** parameters;
};

// v1 ends before `kernel`.
struct CudaKernelNode {
  void* function;
  uint32_t grid[3], block[3], shared_bytes;
  void** parameters;
  void** extra;
  void* kernel;
  void* context;
};
inline constexpr size_t kKernelNodeV1 = offsetof(CudaKernelNode, kernel);
static_assert(kKernelNodeV1 == 56 && sizeof(CudaKernelNode) == 72);

struct CudaMemsetNode {
  DevicePointer to;
  size_t pitch;
  uint32_t value, element;
  size_t width, height;
  void* context;  // from v2 on
};
inline constexpr size_t kMemsetNodeV1 = offsetof(CudaMemsetNode, context);

struct CudaHostNode {
  void (*function)(void*);
  void* data;
};

struct CudaAllocNode {
  CudaPoolProperties pool;
  const CudaAccess* access;
  size_t access_count;
  size_t size;
  DevicePointer address;
};
static_assert(sizeof(CudaAllocNode) == 120);

// One side of a copy of up to three dimensions.
struct CudaCopySide {
  size_t x, y, z, level;
  int32_t type;  // host 1, device 2, array 3, unified 4
  void* host;
  DevicePointer device;
  struct Array* array;
  void* context;  // of a copy between contexts only
  size_t pitch, height;
};

struct CudaCopy3d {
  CudaCopySide from, to;
  size_t width, height, depth;
};
static_assert(sizeof(CudaCopy3d) == 200);

struct CudaCopy2d {
  struct Side {
    size_t x, y;
    int32_t type;
    void* host;
    DevicePointer device;
    struct Array* array;
    size_t pitch;
  };
  Side from, to;
  size_t width, height;
};
static_assert(sizeof(CudaCopy2d) == 128);

struct CudaCopyNode {
  int32_t flags, reserved;
  void* context;
  CudaCopy3d copy;
};

// Parameters of a node of any type (cuGraphAddNode).
struct CudaNodeParams {
  int32_t type, reserved[3];
  union {
    int64_t room[29];
    CudaKernelNode kernel;
    CudaCopyNode copy;
    CudaMemsetNode memset;
    CudaHostNode host;
    struct Graph* graph;
    CudaAllocNode alloc;
    DevicePointer free;
    struct CudaEvent* event;
  };
  int64_t reserved2;
};
static_assert(sizeof(CudaNodeParams) == 256);

struct CudaEdge {
  uint8_t from_port, to_port, type, reserved[5];
};

struct CudaInstantiateParams {
  uint64_t flags;
  struct CudaStream* upload_stream;
  struct GraphNode* error_node;
  int32_t result;
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
