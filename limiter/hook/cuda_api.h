// The driver's C interface as far as this library acts in it: our own declarations, written from
// the public documentation. No NVIDIA header is needed or shipped.
#pragma once

#include <cstddef>
#include <cstdint>

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUdeviceptr_v1 = unsigned int;
using CUcontext = void*;
using CUstream = void*;
using CUevent = void*;
using CUarray = void*;
using CUmipmappedArray = void*;
using CUmemoryPool = void*;
using CUfunction = void*;
using CUmodule = void*;
using CUlibrary = void*;
using CUkernel = void*;
using CUgraph = void*;
using CUgraphExec = void*;
using CUgraphNode = void*;
using CUgreenCtx = void*;
using CUdevResourceDesc = void*;
using CUmemGenericAllocationHandle = unsigned long long;

inline constexpr CUresult CUDA_SUCCESS = 0;
inline constexpr CUresult CUDA_ERROR_INVALID_VALUE = 1;
inline constexpr CUresult CUDA_ERROR_OUT_OF_MEMORY = 2;
inline constexpr CUresult CUDA_ERROR_NO_DEVICE = 100;
inline constexpr CUresult CUDA_ERROR_NOT_FOUND = 500;

struct CUuuid {
  uint8_t bytes[16];
};

struct CUmemLocation {
  int type;
  int id;
};
inline constexpr int CU_MEM_ALLOCATION_TYPE_MANAGED = 2;
inline constexpr int CU_MEM_LOCATION_TYPE_DEVICE = 1;
inline constexpr int CU_MEM_LOCATION_TYPE_DEVICE_LOCALITY_DOMAIN = 6;  // ordinal in the lowest byte

struct CUmemAllocationProp {
  int type;
  int requested_handle_types;
  CUmemLocation location;
  void* win32_handle_meta_data;
  uint8_t alloc_flags[8];
};

struct CUmemPoolProps {
  int alloc_type;
  int handle_types;
  CUmemLocation location;
};

struct CUDA_ARRAY_DESCRIPTOR_v1 {
  unsigned width, height;
  int format;
  unsigned channels;
};
struct CUDA_ARRAY3D_DESCRIPTOR_v1 {
  unsigned width, height, depth;
  int format;
  unsigned channels, flags;
};
struct CUDA_ARRAY_DESCRIPTOR {
  size_t width, height;
  int format;
  unsigned channels;
};
struct CUDA_ARRAY3D_DESCRIPTOR {
  size_t width, height, depth;
  int format;
  unsigned channels, flags;
};
struct CUDA_ARRAY_MEMORY_REQUIREMENTS {
  size_t size, alignment;
  unsigned reserved[4];
};

struct CUlaunchConfig {
  unsigned grid[3], block[3], shared;
  CUstream stream;
  void* attributes;
  unsigned attribute_count;
};
struct CUDA_LAUNCH_PARAMS {
  CUfunction function;
  unsigned grid[3], block[3], shared;
  CUstream stream;
  void** parameters;
};
inline constexpr unsigned CUDA_ARRAY3D_SPARSE = 0x40;
inline constexpr unsigned CUDA_ARRAY3D_DEFERRED_MAPPING = 0x80;

struct CUarrayMapInfo {
  int resource_type;
  void* resource;
  int subresource_type;
  union {
    unsigned level[8];
    struct {
      unsigned layer;
      unsigned long long offset, size;
    } miptail;
  } subresource;
  int operation;  // 1 = map, 2 = unmap
  int handle_type;
  CUmemGenericAllocationHandle handle;
  unsigned long long offset;
  unsigned device_bits, flags, reserved[2];
};
static_assert(sizeof(CUarrayMapInfo) == 96);
inline constexpr int CU_MEM_OPERATION_TYPE_MAP = 1;

struct CUipcMemHandle {
  uint8_t bytes[64];
};
inline constexpr unsigned CU_MEM_ATTACH_GLOBAL = 1;
inline constexpr int CU_MEM_ADVISE_SET_PREFERRED_LOCATION = 3;
inline constexpr int CU_MEM_ADVISE_SET_ACCESSED_BY = 5;
inline constexpr int CU_POINTER_ATTRIBUTE_HOST_POINTER = 4;
inline constexpr int CU_POINTER_ATTRIBUTE_IS_MANAGED = 8;
inline constexpr int CU_DEVICE_ATTRIBUTE_CONCURRENT_MANAGED_ACCESS = 89;

inline constexpr int CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT = 5;
inline constexpr int CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT = 0;
inline constexpr int CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT = 2;
inline constexpr int CU_GRAPH_NODE_TYPE_KERNEL = 0;
inline constexpr int CU_GRAPH_NODE_TYPE_GRAPH = 4;
inline constexpr int CU_GRAPH_NODE_TYPE_MEM_ALLOC = 10;
inline constexpr uint64_t CUDA_GRAPH_INSTANTIATE_FLAG_UPLOAD = 2;

struct CUDA_KERNEL_NODE_PARAMS {
  CUfunction func;
  unsigned grid[3], block[3], shared;
  void** parameters;
  void** extra;
  CUkernel kern;  // from here on: version 2
  CUcontext ctx;
};

struct CUDA_GRAPH_INSTANTIATE_PARAMS {
  uint64_t flags;
  CUstream upload_stream;
  CUgraphNode error_node;
  int result;
};

struct CUDA_MEM_ALLOC_NODE_PARAMS {
  CUmemPoolProps pool_props;
  uint8_t pool_rest[72];
  const void* access;
  size_t access_count;
  size_t bytesize;
  CUdeviceptr dptr;
};
static_assert(offsetof(CUDA_MEM_ALLOC_NODE_PARAMS, access) == 88);

inline constexpr int CU_LIMIT_PRINTF_FIFO_SIZE = 1;
inline constexpr int CU_LIMIT_MALLOC_HEAP_SIZE = 2;

#define HAMI_CUDA_LAUNCH_HOOKS(X)                                                                \
  X(cuLaunchKernel,                                                                              \
    (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,       \
     unsigned bz, unsigned shared, CUstream stream, void** parameters, void** extra))            \
  X(cuLaunchKernel_ptsz,                                                                         \
    (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,       \
     unsigned bz, unsigned shared, CUstream stream, void** parameters, void** extra))            \
  X(cuLaunchKernelEx,                                                                            \
    (const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra))        \
  X(cuLaunchKernelEx_ptsz,                                                                       \
    (const CUlaunchConfig* config, CUfunction function, void** parameters, void** extra))        \
  X(cuLaunchCooperativeKernel,                                                                   \
    (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,       \
     unsigned bz, unsigned shared, CUstream stream, void** parameters))                          \
  X(cuLaunchCooperativeKernel_ptsz,                                                              \
    (CUfunction function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,       \
     unsigned bz, unsigned shared, CUstream stream, void** parameters))                          \
  X(cuLaunchCooperativeKernelMultiDevice,                                                        \
    (CUDA_LAUNCH_PARAMS * list, unsigned count, unsigned flags))                                 \
  X(cuLaunch, (CUfunction function))                                                             \
  X(cuLaunchGrid, (CUfunction function, int width, int height))                                  \
  X(cuLaunchGridAsync, (CUfunction function, int width, int height, CUstream stream))            \
  X(cuGraphLaunch, (CUgraphExec graph, CUstream stream))                                         \
  X(cuGraphLaunch_ptsz, (CUgraphExec graph, CUstream stream))                                    \
  X(cuStreamBeginCapture, (CUstream stream))                                                     \
  X(cuStreamBeginCapture_ptsz, (CUstream stream))                                                \
  X(cuStreamBeginCapture_v2, (CUstream stream, int mode))                                        \
  X(cuStreamBeginCapture_v2_ptsz, (CUstream stream, int mode))                                   \
  X(cuStreamBeginCaptureToGraph, (CUstream stream, CUgraph graph, const void* dependencies,      \
                                  const void* data, size_t count, int mode))                     \
  X(cuStreamBeginCaptureToGraph_ptsz, (CUstream stream, CUgraph graph, const void* dependencies, \
                                       const void* data, size_t count, int mode))                \
  X(cuStreamEndCapture, (CUstream stream, CUgraph * graph))                                      \
  X(cuStreamEndCapture_ptsz, (CUstream stream, CUgraph * graph))

// X(name, parameters): what this library puts itself in front of. Where two names may be one
// function of the driver, the newer comes first: it is the one whose types then hold.
#define HAMI_CUDA_HOOKS(X)                                                                         \
  HAMI_CUDA_LAUNCH_HOOKS(X)                                                                        \
  X(cuInit, (unsigned flags))                                                                      \
  X(cuGetProcAddress_v2,                                                                           \
    (const char* symbol, void** function, int version, uint64_t flags, int* status))               \
  X(cuGetProcAddress_v2_ptsz,                                                                      \
    (const char* symbol, void** function, int version, uint64_t flags, int* status))               \
  X(cuGetProcAddress, (const char* symbol, void** function, int version, uint64_t flags))          \
  X(cuMemAlloc_v2, (CUdeviceptr * pointer, size_t bytes))                                          \
  X(cuMemAlloc, (CUdeviceptr_v1 * pointer, unsigned bytes))                                        \
  X(cuMemAllocPitch_v2,                                                                            \
    (CUdeviceptr * pointer, size_t * pitch, size_t width, size_t height, unsigned element))        \
  X(cuMemAllocPitch, (CUdeviceptr_v1 * pointer, unsigned* pitch, unsigned width, unsigned height,  \
                      unsigned element))                                                           \
  X(cuMemAllocManaged, (CUdeviceptr * pointer, size_t bytes, unsigned flags))                      \
  X(cuPointerGetAttribute, (void* data, int attribute, CUdeviceptr pointer))                       \
  X(cuPointerGetAttributes, (unsigned count, int* attributes, void** data, CUdeviceptr pointer))   \
  X(cuIpcGetMemHandle, (CUipcMemHandle * handle, CUdeviceptr pointer))                             \
  X(cuMemFree_v2, (CUdeviceptr pointer))                                                           \
  X(cuMemFree, (CUdeviceptr_v1 pointer))                                                           \
  X(cuMemAllocAsync, (CUdeviceptr * pointer, size_t bytes, CUstream stream))                       \
  X(cuMemAllocAsync_ptsz, (CUdeviceptr * pointer, size_t bytes, CUstream stream))                  \
  X(cuMemAllocFromPoolAsync,                                                                       \
    (CUdeviceptr * pointer, size_t bytes, CUmemoryPool pool, CUstream stream))                     \
  X(cuMemAllocFromPoolAsync_ptsz,                                                                  \
    (CUdeviceptr * pointer, size_t bytes, CUmemoryPool pool, CUstream stream))                     \
  X(cuMemFreeAsync, (CUdeviceptr pointer, CUstream stream))                                        \
  X(cuMemFreeAsync_ptsz, (CUdeviceptr pointer, CUstream stream))                                   \
  X(cuMemPoolCreate, (CUmemoryPool * pool, const CUmemPoolProps* props))                           \
  X(cuMemPoolTrimTo, (CUmemoryPool pool, size_t keep))                                             \
  X(cuMemPoolDestroy, (CUmemoryPool pool))                                                         \
  X(cuStreamSynchronize, (CUstream stream))                                                        \
  X(cuStreamSynchronize_ptsz, (CUstream stream))                                                   \
  X(cuEventSynchronize, (CUevent event))                                                           \
  X(cuCtxSynchronize_v2, (CUcontext context))                                                      \
  X(cuCtxSynchronize, ())                                                                          \
  X(cuMemCreate, (CUmemGenericAllocationHandle * handle, size_t bytes,                             \
                  const CUmemAllocationProp* prop, unsigned long long flags))                      \
  X(cuMemImportFromShareableHandle,                                                                \
    (CUmemGenericAllocationHandle * handle, void* os_handle, int type))                            \
  X(cuMemRelease, (CUmemGenericAllocationHandle handle))                                           \
  X(cuMemRetainAllocationHandle, (CUmemGenericAllocationHandle * handle, void* address))           \
  X(cuMemMap, (CUdeviceptr pointer, size_t bytes, size_t offset,                                   \
               CUmemGenericAllocationHandle handle, unsigned long long flags))                     \
  X(cuMemUnmap, (CUdeviceptr pointer, size_t bytes))                                               \
  X(cuMemMapArrayAsync, (CUarrayMapInfo * list, unsigned count, CUstream stream))                  \
  X(cuMemMapArrayAsync_ptsz, (CUarrayMapInfo * list, unsigned count, CUstream stream))             \
  X(cuMulticastCreate, (CUmemGenericAllocationHandle * handle, const void* prop))                  \
  X(cuMulticastBindMem_v2,                                                                         \
    (CUmemGenericAllocationHandle object, CUdevice device, size_t offset,                          \
     CUmemGenericAllocationHandle handle, size_t from, size_t bytes, unsigned long long flags))    \
  X(cuMulticastBindMem,                                                                            \
    (CUmemGenericAllocationHandle object, size_t offset, CUmemGenericAllocationHandle handle,      \
     size_t from, size_t bytes, unsigned long long flags))                                         \
  X(cuMulticastBindAddr_v2, (CUmemGenericAllocationHandle object, CUdevice device, size_t offset,  \
                             CUdeviceptr pointer, size_t bytes, unsigned long long flags))         \
  X(cuMulticastBindAddr, (CUmemGenericAllocationHandle object, size_t offset, CUdeviceptr pointer, \
                          size_t bytes, unsigned long long flags))                                 \
  X(cuMulticastUnbind,                                                                             \
    (CUmemGenericAllocationHandle object, CUdevice device, size_t offset, size_t bytes))           \
  X(cuArrayCreate_v2, (CUarray * array, const CUDA_ARRAY_DESCRIPTOR* descriptor))                  \
  X(cuArrayCreate, (CUarray * array, const CUDA_ARRAY_DESCRIPTOR_v1* descriptor))                  \
  X(cuArray3DCreate, (CUarray * array, const CUDA_ARRAY3D_DESCRIPTOR_v1* descriptor))              \
  X(cuArray3DCreate_v2, (CUarray * array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor))              \
  X(cuArrayDestroy, (CUarray array))                                                               \
  X(cuMipmappedArrayCreate,                                                                        \
    (CUmipmappedArray * array, const CUDA_ARRAY3D_DESCRIPTOR* descriptor, unsigned levels))        \
  X(cuMipmappedArrayDestroy, (CUmipmappedArray array))                                             \
  X(cuDevicePrimaryCtxRetain, (CUcontext * context, CUdevice device))                              \
  X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                               \
  X(cuDevicePrimaryCtxRelease, (CUdevice device))                                                  \
  X(cuDevicePrimaryCtxReset_v2, (CUdevice device))                                                 \
  X(cuDevicePrimaryCtxReset, (CUdevice device))                                                    \
  X(cuCtxCreate_v4, (CUcontext * context, void* parameters, unsigned flags, CUdevice device))      \
  X(cuCtxCreate_v3,                                                                                \
    (CUcontext * context, void* affinity, int count, unsigned flags, CUdevice device))             \
  X(cuCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device))                        \
  X(cuCtxCreate, (CUcontext * context, unsigned flags, CUdevice device))                           \
  X(cuCtxDestroy_v2, (CUcontext context))                                                          \
  X(cuCtxDestroy, (CUcontext context))                                                             \
  X(cuCtxSetLimit, (int limit, size_t value))                                                      \
  X(cuGreenCtxCreate,                                                                              \
    (CUgreenCtx * green, CUdevResourceDesc resources, CUdevice device, unsigned flags))            \
  X(cuGreenCtxDestroy, (CUgreenCtx green))                                                         \
  X(cuCtxFromGreenCtx, (CUcontext * context, CUgreenCtx green))                                    \
  X(cuGLCtxCreate_v2, (CUcontext * context, unsigned flags, CUdevice device))                      \
  X(cuGLCtxCreate, (CUcontext * context, unsigned flags, CUdevice device))                         \
  X(cuModuleLoad, (CUmodule * module, const char* path))                                           \
  X(cuModuleLoadData, (CUmodule * module, const void* image))                                      \
  X(cuModuleLoadDataEx,                                                                            \
    (CUmodule * module, const void* image, unsigned count, int* options, void** values))           \
  X(cuModuleLoadFatBinary, (CUmodule * module, const void* image))                                 \
  X(cuModuleUnload, (CUmodule module))                                                             \
  X(cuModuleGetFunction, (CUfunction * function, CUmodule module, const char* name))               \
  X(cuKernelGetFunction, (CUfunction * function, CUkernel kernel))                                 \
  X(cuLibraryLoadData, (CUlibrary * library, const void* code, int* jit, void** jit_values,        \
                        unsigned jit_count, int* options, void** values, unsigned count))          \
  X(cuLibraryLoadFromFile, (CUlibrary * library, const char* path, int* jit, void** jit_values,    \
                            unsigned jit_count, int* options, void** values, unsigned count))      \
  X(cuLibraryUnload, (CUlibrary library))                                                          \
  X(cuLibraryGetKernel, (CUkernel * kernel, CUlibrary library, const char* name))                  \
  X(cuLibraryGetModule, (CUmodule * module, CUlibrary library))                                    \
  X(cuLibraryGetGlobal,                                                                            \
    (CUdeviceptr * pointer, size_t * bytes, CUlibrary library, const char* name))                  \
  X(cuLibraryGetManaged,                                                                           \
    (CUdeviceptr * pointer, size_t * bytes, CUlibrary library, const char* name))                  \
  X(cuLibraryGetUnifiedFunction, (void** function, CUlibrary library, const char* name))           \
  X(cuGraphInstantiateWithParams,                                                                  \
    (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS * params))                   \
  X(cuGraphInstantiateWithParams_ptsz,                                                             \
    (CUgraphExec * exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS * params))                   \
  X(cuGraphInstantiateWithFlags, (CUgraphExec * exec, CUgraph graph, unsigned long long flags))    \
  X(cuGraphInstantiate_v2,                                                                         \
    (CUgraphExec * exec, CUgraph graph, CUgraphNode * error_node, char* log, size_t log_size))     \
  X(cuGraphInstantiate,                                                                            \
    (CUgraphExec * exec, CUgraph graph, CUgraphNode * error_node, char* log, size_t log_size))     \
  X(cuGraphUpload, (CUgraphExec exec, CUstream stream))                                            \
  X(cuGraphUpload_ptsz, (CUgraphExec exec, CUstream stream))                                       \
  X(cuGraphExecDestroy, (CUgraphExec exec))                                                        \
  X(cuGraphExecUpdate, (CUgraphExec exec, CUgraph graph, CUgraphNode * error_node, int* what))     \
  X(cuGraphExecUpdate_v2, (CUgraphExec exec, CUgraph graph, void* what))                           \
  X(cuGraphExecKernelNodeSetParams,                                                                \
    (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params))                   \
  X(cuGraphExecKernelNodeSetParams_v2,                                                             \
    (CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params))                   \
  X(cuGraphExecNodeSetParams, (CUgraphExec exec, CUgraphNode node, void* params))                  \
  X(cuGraphExecChildGraphNodeSetParams, (CUgraphExec exec, CUgraphNode node, CUgraph child))       \
  X(cuGraphNodeSetEnabled, (CUgraphExec exec, CUgraphNode node, unsigned enabled))                 \
  X(cuDeviceGraphMemTrim, (CUdevice device))                                                       \
  X(cuMemGetInfo_v2, (size_t * free_bytes, size_t * total_bytes))                                  \
  X(cuMemGetInfo, (unsigned* free_bytes, unsigned* total_bytes))                                   \
  X(cuDeviceTotalMem_v2, (size_t * bytes, CUdevice device))                                        \
  X(cuDeviceTotalMem, (unsigned* bytes, CUdevice device))

// What it only calls.
#define HAMI_CUDA_CALLS(X)                                                                   \
  X(cuDeviceGetCount, (int* count))                                                          \
  X(cuDeviceGetAttribute, (int* value, int attribute, CUdevice device))                      \
  X(cuMemAdvise, (CUdeviceptr pointer, size_t bytes, int advice, CUdevice device))           \
  X(cuMemAdvise_v2, (CUdeviceptr pointer, size_t bytes, int advice, CUmemLocation location)) \
  X(cuDeviceGetUuid, (CUuuid * uuid, CUdevice device))                                       \
  X(cuDeviceGetUuid_v2, (CUuuid * uuid, CUdevice device))                                    \
  X(cuCtxGetCurrent, (CUcontext * context))                                                  \
  X(cuCtxGetDevice, (CUdevice * device))                                                     \
  X(cuDevicePrimaryCtxGetState, (CUdevice device, unsigned* flags, int* active))             \
  X(cuDeviceGetMemPool, (CUmemoryPool * pool, CUdevice device))                              \
  X(cuMemPoolGetAttribute, (CUmemoryPool pool, int attribute, void* value))                  \
  X(cuDeviceGetDefaultMemPool, (CUmemoryPool * pool, CUdevice device))                       \
  X(cuCtxGetLimit, (size_t * value, int limit))                                              \
  X(cuGraphGetNodes, (CUgraph graph, CUgraphNode * nodes, size_t * count))                   \
  X(cuGraphNodeGetType, (CUgraphNode node, int* type))                                       \
  X(cuGraphKernelNodeGetParams_v2, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS * params))     \
  X(cuGraphKernelNodeGetParams, (CUgraphNode node, CUDA_KERNEL_NODE_PARAMS * params))        \
  X(cuGraphChildGraphNodeGetGraph, (CUgraphNode node, CUgraph * graph))                      \
  X(cuGraphMemAllocNodeGetParams, (CUgraphNode node, CUDA_MEM_ALLOC_NODE_PARAMS * params))   \
  X(cuDeviceGetGraphMemAttribute, (CUdevice device, int attribute, void* value))             \
  X(cuStreamIsCapturing, (CUstream stream, int* status))                                     \
  X(cuStreamIsCapturing_ptsz, (CUstream stream, int* status))                                \
  X(cuThreadExchangeStreamCaptureMode, (int* mode))                                          \
  X(cuStreamGetCtx, (CUstream stream, CUcontext * context))                                  \
  X(cuCtxPushCurrent_v2, (CUcontext context))                                                \
  X(cuCtxPopCurrent_v2, (CUcontext * context))                                               \
  X(cuEventCreate, (CUevent * event, unsigned flags))                                        \
  X(cuEventDestroy_v2, (CUevent event))                                                      \
  X(cuEventRecord, (CUevent event, CUstream stream))                                         \
  X(cuEventRecord_ptsz, (CUevent event, CUstream stream))                                    \
  X(cuEventQuery, (CUevent event))                                                           \
  X(cuEventElapsedTime, (float* milliseconds, CUevent start, CUevent end))                   \
  X(cuArrayGetMemoryRequirements,                                                            \
    (CUDA_ARRAY_MEMORY_REQUIREMENTS * out, CUarray array, CUdevice device))                  \
  X(cuCtxGetId, (CUcontext context, unsigned long long* id))                                 \
  X(cuMipmappedArrayGetMemoryRequirements,                                                   \
    (CUDA_ARRAY_MEMORY_REQUIREMENTS * out, CUmipmappedArray array, CUdevice device))

extern "C" {
#define HAMI_DECLARE(name, parameters) \
  __attribute__((visibility("default"))) CUresult name parameters;
HAMI_CUDA_HOOKS(HAMI_DECLARE)
#undef HAMI_DECLARE
}
