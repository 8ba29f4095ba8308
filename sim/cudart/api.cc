// The runtime's functions, each a call or two of the driver.
#include "sim/cudart/runtime.h"

using namespace hami::sim::cudart;  // NOLINT: only exported C functions below

namespace {

DevicePointer Address(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer); }

enum CopyKind : int { kHostToHost, kHostToDevice, kDeviceToHost, kDeviceToDevice, kDefault };

int Copy(const Driver& driver, void* to, const void* from, size_t size, int kind) {
  switch (kind) {
    case kHostToDevice:
      return driver.cuMemcpyHtoD(Address(to), from, size);
    case kDeviceToHost:
      return driver.cuMemcpyDtoH(to, Address(from), size);
    case kDeviceToDevice:
      return driver.cuMemcpyDtoD(Address(to), Address(from), size);
    case kHostToHost:
    case kDefault:
      return driver.cuMemcpy(Address(to), Address(from), size);
    default:
      return 21;  // cudaErrorInvalidMemcpyDirection
  }
}

int CopyAsync(const Driver& driver, void* to, const void* from, size_t size, int kind,
              void* stream) {
  switch (kind) {
    case kHostToDevice:
      return driver.cuMemcpyHtoDAsync(Address(to), from, size, stream);
    case kDeviceToHost:
      return driver.cuMemcpyDtoHAsync(to, Address(from), size, stream);
    case kDeviceToDevice:
      return driver.cuMemcpyDtoDAsync(Address(to), Address(from), size, stream);
    case kHostToHost:
    case kDefault:
      return driver.cuMemcpyAsync(Address(to), Address(from), size, stream);
    default:
      return 21;
  }
}

int Launch(const Driver& driver, const void* stub, Dim3 grid, Dim3 block, void** arguments,
           size_t shared, void* stream) {
  void* kernel = nullptr;
  if (const int code = FindKernel(driver, stub, &kernel); code != 0) return code;
  return driver.cuLaunchKernel(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                               static_cast<unsigned>(shared), stream, arguments, nullptr);
}

int LaunchCooperative(const Driver& driver, const void* stub, Dim3 grid, Dim3 block,
                      void** arguments, size_t shared, void* stream) {
  void* kernel = nullptr;
  if (const int code = FindKernel(driver, stub, &kernel); code != 0) return code;
  return driver.cuLaunchCooperativeKernel(kernel, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                          static_cast<unsigned>(shared), stream, arguments);
}

int LaunchEx(const Driver& driver, const RuntimeLaunchConfig* config, const void* stub,
             void** arguments) {
  void* kernel = nullptr;
  if (config == nullptr) return kInvalidValue;
  if (const int code = FindKernel(driver, stub, &kernel); code != 0) return code;
  const LaunchConfig launch = {
      config->grid,   config->block,      static_cast<unsigned>(config->shared_bytes),
      config->stream, config->attributes, config->attribute_count};
  return driver.cuLaunchKernelEx(&launch, kernel, arguments, nullptr);
}

DevicePointer* Out(void** pointer) { return reinterpret_cast<DevicePointer*>(pointer); }

}  // namespace

// `expression` uses `driver`. A driver that lacks the function makes the runtime insufficient.
#define CUDART_BODY(per_thread, needed, expression)                               \
  {                                                                               \
    const Driver* found = nullptr;                                                \
    if (const int code = Ready(per_thread, &found); code != 0) return Note(code); \
    const Driver& driver = *found;                                                \
    if (driver.needed == nullptr) return Note(kInsufficientDriver);               \
    return Note(expression);                                                      \
  }
#define CUDART(name, needed, parameters, expression) \
  CUDART_API name parameters CUDART_BODY(false, needed, expression)
// The form that programs call which are compiled for per-thread default streams.
#define CUDART_FORMS(name, suffix, needed, parameters, expression) \
  CUDART(name, needed, parameters, expression)                     \
  CUDART_API name##suffix parameters CUDART_BODY(true, needed, expression)

CUDART(cudaMalloc, cuMemAlloc, (void** pointer, size_t size),
       size == 0 ? (*pointer = nullptr, 0) : driver.cuMemAlloc(Out(pointer), size))
CUDART(cudaMallocPitch, cuMemAllocPitch,
       (void** pointer, size_t* pitch, size_t width, size_t height),
       driver.cuMemAllocPitch(Out(pointer), pitch, width, height, 4))
CUDART(cudaMallocManaged, cuMemAllocManaged, (void** pointer, size_t size, unsigned flags),
       driver.cuMemAllocManaged(Out(pointer), size, flags))
CUDART(cudaMallocHost, cuMemHostAlloc, (void** pointer, size_t size),
       driver.cuMemHostAlloc(pointer, size, 0))
CUDART(cudaHostAlloc, cuMemHostAlloc, (void** pointer, size_t size, unsigned flags),
       driver.cuMemHostAlloc(pointer, size, flags))
CUDART(cudaFree, cuMemFree, (void* pointer), driver.cuMemFree(Address(pointer)))
CUDART(cudaFreeHost, cuMemFreeHost, (void* pointer), driver.cuMemFreeHost(pointer))
CUDART(cudaMemGetInfo, cuMemGetInfo, (size_t * free_bytes, size_t* total),
       driver.cuMemGetInfo(free_bytes, total))
CUDART_FORMS(cudaMallocAsync, _ptsz, cuMemAllocAsync, (void** pointer, size_t size, void* stream),
             driver.cuMemAllocAsync(Out(pointer), size, stream))
CUDART_FORMS(cudaMallocFromPoolAsync, _ptsz, cuMemAllocFromPoolAsync,
             (void** pointer, size_t size, void* pool, void* stream),
             driver.cuMemAllocFromPoolAsync(Out(pointer), size, pool, stream))
CUDART_FORMS(cudaFreeAsync, _ptsz, cuMemFreeAsync, (void* pointer, void* stream),
             driver.cuMemFreeAsync(Address(pointer), stream))
CUDART(cudaMemPoolCreate, cuMemPoolCreate, (void** pool, const void* properties),
       driver.cuMemPoolCreate(pool, properties))
CUDART(cudaMemPoolDestroy, cuMemPoolDestroy, (void* pool), driver.cuMemPoolDestroy(pool))
CUDART(cudaMemPoolTrimTo, cuMemPoolTrimTo, (void* pool, size_t keep),
       driver.cuMemPoolTrimTo(pool, keep))
CUDART(cudaMemPoolGetAttribute, cuMemPoolGetAttribute, (void* pool, int attribute, void* value),
       driver.cuMemPoolGetAttribute(pool, attribute, value))
CUDART(cudaMemPoolSetAttribute, cuMemPoolSetAttribute, (void* pool, int attribute, void* value),
       driver.cuMemPoolSetAttribute(pool, attribute, value))
CUDART_FORMS(cudaMemcpy, _ptds, cuMemcpy, (void* to, const void* from, size_t size, int kind),
             Copy(driver, to, from, size, kind))
CUDART_FORMS(cudaMemcpyAsync, _ptsz, cuMemcpyAsync,
             (void* to, const void* from, size_t size, int kind, void* stream),
             CopyAsync(driver, to, from, size, kind, stream))
CUDART_FORMS(cudaMemset, _ptds, cuMemsetD8, (void* to, int value, size_t size),
             driver.cuMemsetD8(Address(to), static_cast<unsigned char>(value), size))
CUDART_FORMS(cudaMemsetAsync, _ptsz, cuMemsetD8Async,
             (void* to, int value, size_t size, void* stream),
             driver.cuMemsetD8Async(Address(to), static_cast<unsigned char>(value), size, stream))
CUDART(cudaIpcGetMemHandle, cuIpcGetMemHandle, (IpcHandle * handle, void* pointer),
       driver.cuIpcGetMemHandle(handle, Address(pointer)))
CUDART(cudaIpcOpenMemHandle, cuIpcOpenMemHandle, (void** pointer, IpcHandle handle, unsigned flags),
       driver.cuIpcOpenMemHandle(Out(pointer), handle, flags))
CUDART(cudaIpcCloseMemHandle, cuIpcCloseMemHandle, (void* pointer),
       driver.cuIpcCloseMemHandle(Address(pointer)))

CUDART_FORMS(cudaLaunchKernel, _ptsz, cuLaunchKernel,
             (const void* function, Dim3 grid, Dim3 block, void** arguments, size_t shared,
              void* stream),
             Launch(driver, function, grid, block, arguments, shared, stream))
CUDART_FORMS(cudaLaunchCooperativeKernel, _ptsz, cuLaunchCooperativeKernel,
             (const void* function, Dim3 grid, Dim3 block, void** arguments, size_t shared,
              void* stream),
             LaunchCooperative(driver, function, grid, block, arguments, shared, stream))
CUDART_FORMS(cudaLaunchKernelExC, _ptsz, cuLaunchKernelEx,
             (const RuntimeLaunchConfig* config, const void* function, void** arguments),
             LaunchEx(driver, config, function, arguments))
CUDART_FORMS(cudaLaunchHostFunc, _ptsz, cuLaunchHostFunc,
             (void* stream, void (*function)(void*), void* data),
             driver.cuLaunchHostFunc(stream, function, data))

CUDART(cudaStreamCreate, cuStreamCreate, (void** stream), driver.cuStreamCreate(stream, 0))
CUDART(cudaStreamCreateWithFlags, cuStreamCreate, (void** stream, unsigned flags),
       driver.cuStreamCreate(stream, flags))
CUDART(cudaStreamCreateWithPriority, cuStreamCreateWithPriority,
       (void** stream, unsigned flags, int priority),
       driver.cuStreamCreateWithPriority(stream, flags, priority))
CUDART(cudaStreamDestroy, cuStreamDestroy, (void* stream), driver.cuStreamDestroy(stream))
CUDART_FORMS(cudaStreamSynchronize, _ptsz, cuStreamSynchronize, (void* stream),
             driver.cuStreamSynchronize(stream))
CUDART_FORMS(cudaStreamQuery, _ptsz, cuStreamQuery, (void* stream), driver.cuStreamQuery(stream))
CUDART_FORMS(cudaStreamWaitEvent, _ptsz, cuStreamWaitEvent,
             (void* stream, void* event, unsigned flags),
             driver.cuStreamWaitEvent(stream, event, flags))
CUDART_FORMS(cudaStreamBeginCapture, _ptsz, cuStreamBeginCapture, (void* stream, int mode),
             driver.cuStreamBeginCapture(stream, mode))
CUDART_FORMS(cudaStreamEndCapture, _ptsz, cuStreamEndCapture, (void* stream, void** graph),
             driver.cuStreamEndCapture(stream, graph))
CUDART_FORMS(cudaStreamIsCapturing, _ptsz, cuStreamIsCapturing, (void* stream, int* status),
             driver.cuStreamIsCapturing(stream, status))
CUDART(cudaThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, (int* mode),
       driver.cuThreadExchangeStreamCaptureMode(mode))

CUDART(cudaEventCreate, cuEventCreate, (void** event), driver.cuEventCreate(event, 0))
CUDART(cudaEventCreateWithFlags, cuEventCreate, (void** event, unsigned flags),
       driver.cuEventCreate(event, flags))
CUDART(cudaEventDestroy, cuEventDestroy, (void* event), driver.cuEventDestroy(event))
CUDART_FORMS(cudaEventRecord, _ptsz, cuEventRecord, (void* event, void* stream),
             driver.cuEventRecord(event, stream))
CUDART(cudaEventQuery, cuEventQuery, (void* event), driver.cuEventQuery(event))
CUDART(cudaEventSynchronize, cuEventSynchronize, (void* event), driver.cuEventSynchronize(event))
CUDART(cudaEventElapsedTime, cuEventElapsedTime, (float* ms, void* start, void* end),
       driver.cuEventElapsedTime(ms, start, end))

CUDART(cudaGraphCreate, cuGraphCreate, (void** graph, unsigned flags),
       driver.cuGraphCreate(graph, flags))
CUDART(cudaGraphDestroy, cuGraphDestroy, (void* graph), driver.cuGraphDestroy(graph))
CUDART(cudaGraphGetNodes, cuGraphGetNodes, (void* graph, void** nodes, size_t* count),
       driver.cuGraphGetNodes(graph, nodes, count))
CUDART(cudaGraphInstantiate, cuGraphInstantiate, (void** exec, void* graph, uint64_t flags),
       driver.cuGraphInstantiate(exec, graph, flags))
CUDART(cudaGraphInstantiateWithFlags, cuGraphInstantiate,
       (void** exec, void* graph, uint64_t flags), driver.cuGraphInstantiate(exec, graph, flags))
CUDART_FORMS(cudaGraphUpload, _ptsz, cuGraphUpload, (void* exec, void* stream),
             driver.cuGraphUpload(exec, stream))
CUDART_FORMS(cudaGraphLaunch, _ptsz, cuGraphLaunch, (void* exec, void* stream),
             driver.cuGraphLaunch(exec, stream))
CUDART(cudaGraphExecDestroy, cuGraphExecDestroy, (void* exec), driver.cuGraphExecDestroy(exec))

CUDART(cudaDeviceSynchronize, cuCtxSynchronize, (), driver.cuCtxSynchronize())
CUDART(cudaDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (void** pool, int device),
       driver.cuDeviceGetDefaultMemPool(pool, device))
CUDART(cudaDeviceGraphMemTrim, cuDeviceGraphMemTrim, (int device),
       driver.cuDeviceGraphMemTrim(device))
CUDART(cudaDeviceGetAttribute, cuDeviceGetAttribute, (int* value, int attribute, int device),
       driver.cuDeviceGetAttribute(value, attribute, device))
CUDART(cudaDeviceGetPCIBusId, cuDeviceGetPCIBusId, (char* text, int size, int device),
       driver.cuDeviceGetPCIBusId(text, size, device))

// Without a context.
CUDART_API cudaGetDeviceCount(int* count) {
  const Driver* driver = GetDriver(false);
  if (driver == nullptr) return Note(kInsufficientDriver);
  return Note(driver->cuDeviceGetCount(count));
}
CUDART_API cudaSetDevice(int device) {
  int count = 0;
  if (const int code = cudaGetDeviceCount(&count); code != 0) return code;
  if (device < 0 || device >= count) return Note(kInvalidDevice);
  CurrentDevice() = device;
  const Driver* driver = nullptr;
  return Note(Ready(false, &driver));  // since CUDA 12 the context is made here
}
CUDART_API cudaGetDevice(int* device) {
  if (device == nullptr) return Note(kInvalidValue);
  *device = CurrentDevice();
  return 0;
}
CUDART_API cudaDriverGetVersion(int* version) {
  if (version == nullptr) return Note(kInvalidValue);
  *version = 0;
  const Driver* driver = GetDriver(false);
  return driver == nullptr ? 0 : Note(driver->cuDriverGetVersion(version));
}
CUDART_API cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return Note(kInvalidValue);
  *version = kVersion;
  return 0;
}

namespace {

const char* Describe(int code, int (*const Driver::*ask)(int, const char**)) {
  if (code == kInsufficientDriver) return "CUDA driver version is insufficient for CUDA runtime";
  if (code == kInvalidFunction) return "invalid device function";
  const char* text = nullptr;
  const Driver* driver = GetDriver(false);
  if (driver == nullptr || (driver->*ask)(code, &text) != 0) return "unrecognized error code";
  return text;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) const char* cudaGetErrorString(int code) {
  return Describe(code, &Driver::cuGetErrorString);
}
extern "C" __attribute__((visibility("default"))) const char* cudaGetErrorName(int code) {
  return Describe(code, &Driver::cuGetErrorName);
}
