// Contexts: the stack of each thread, primary contexts with their users, contexts of a program's
// own.
#include "sim/core/timeline.h"
#include "sim/cuda/driver.h"

namespace hami::sim {
namespace {

constexpr int kStackDepth = 32;

struct ThreadState {
  Context* stack[kStackDepth];
  int depth;
};

__thread ThreadState t_state;

int Push(Context* context) {
  if (!IsLive(context)) return kCudaInvalidContext;
  if (t_state.depth == kStackDepth) return kCudaOutOfMemory;
  t_state.stack[t_state.depth++] = context;
  return kCudaSuccess;
}

int CreateContext(Context** out, uint32_t flags, CudaDevice device, uint32_t api_version) {
  Driver& driver = Driver::Get();
  if (out == nullptr) return kCudaInvalidValue;
  if (driver.device(device) == nullptr) return kCudaInvalidDevice;
  Context* context = nullptr;
  if (const int code = driver.MakeContext(device, &context); code != 0) return code;
  context->flags = flags;
  context->api_version = api_version;
  *out = context;
  return Push(context);
}

// Ends the primary context whatever its users; context_mutex held.
void EndPrimary(Driver& driver, DeviceState& device) {
  Context* context = device.primary;
  device.primary = nullptr;
  device.primary_users = 0;
  if (context != nullptr) driver.DestroyContext(context);
}

}  // namespace

Context* CurrentContext() {
  return t_state.depth == 0 ? nullptr : t_state.stack[t_state.depth - 1];
}

int RequireContext(Context** context) {
  Context* current = CurrentContext();
  if (current == nullptr) return kCudaInvalidContext;
  if (!IsLive(current)) return kCudaContextIsDestroyed;
  *context = current;
  return kCudaSuccess;
}

int RetainPrimary(Driver& driver, CudaDevice ordinal, Context** context) {
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.context_mutex);
  if (device->primary == nullptr) {
    if (const int code = driver.MakeContext(ordinal, &device->primary); code != 0) return code;
    device->primary->primary = true;
    device->primary->flags = device->primary_flags;
  }
  ++device->primary_users;
  *context = device->primary;
  return kCudaSuccess;
}

int ReleasePrimary(Driver& driver, CudaDevice ordinal) {
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.context_mutex);
  if (device->primary_users == 0) return kCudaInvalidContext;
  if (--device->primary_users == 0) EndPrimary(driver, *device);
  return kCudaSuccess;
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuDevicePrimaryCtxRetain(Context** out, CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDevicePrimaryCtxRetain);
  SIM_CUDA_OUT(out);
  return RetainPrimary(driver, ordinal, out);
}

SIM_CUDA cuDevicePrimaryCtxRelease_v2(CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDevicePrimaryCtxRelease_v2);
  return ReleasePrimary(driver, ordinal);
}
SIM_CUDA cuDevicePrimaryCtxRelease(CudaDevice ordinal) {
  return cuDevicePrimaryCtxRelease_v2(ordinal);
}

SIM_CUDA cuDevicePrimaryCtxReset_v2(CudaDevice ordinal) {
  SIM_CUDA_CALL(cuDevicePrimaryCtxReset_v2);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.context_mutex);
  EndPrimary(driver, *device);
  return kCudaSuccess;
}
SIM_CUDA cuDevicePrimaryCtxReset(CudaDevice ordinal) { return cuDevicePrimaryCtxReset_v2(ordinal); }

SIM_CUDA cuDevicePrimaryCtxGetState(CudaDevice ordinal, unsigned* flags, int* active) {
  SIM_CUDA_CALL(cuDevicePrimaryCtxGetState);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  SIM_CUDA_OUT(flags);
  SIM_CUDA_OUT(active);
  MutexGuard guard(driver.context_mutex);
  *flags = device->primary_flags;
  *active = device->primary != nullptr ? 1 : 0;
  return kCudaSuccess;
}

SIM_CUDA cuDevicePrimaryCtxSetFlags_v2(CudaDevice ordinal, unsigned flags) {
  SIM_CUDA_CALL(cuDevicePrimaryCtxSetFlags_v2);
  DeviceState* device = driver.device(ordinal);
  if (device == nullptr) return kCudaInvalidDevice;
  MutexGuard guard(driver.context_mutex);
  device->primary_flags = flags;
  if (device->primary != nullptr) device->primary->flags = flags;
  return kCudaSuccess;
}
SIM_CUDA cuDevicePrimaryCtxSetFlags(CudaDevice ordinal, unsigned flags) {
  return cuDevicePrimaryCtxSetFlags_v2(ordinal, flags);
}

SIM_CUDA cuCtxCreate_v2(Context** out, unsigned flags, CudaDevice device) {
  SIM_CUDA_CALL(cuCtxCreate_v2);
  return CreateContext(out, flags, device, 3020);
}
SIM_CUDA cuCtxCreate(Context** out, unsigned flags, CudaDevice device) {
  SIM_CUDA_CALL(cuCtxCreate);
  return CreateContext(out, flags, device, 3010);
}
SIM_CUDA cuCtxCreate_v3(Context** out, void*, int, unsigned flags, CudaDevice device) {
  SIM_CUDA_CALL(cuCtxCreate_v3);
  return CreateContext(out, flags, device, 3030);
}
SIM_CUDA cuCtxCreate_v4(Context** out, void*, unsigned flags, CudaDevice device) {
  SIM_CUDA_CALL(cuCtxCreate_v4);
  return CreateContext(out, flags, device, 3040);
}

SIM_CUDA cuCtxDestroy_v2(Context* context) {
  SIM_CUDA_CALL(cuCtxDestroy_v2);
  if (!IsLive(context) || context->primary) return kCudaInvalidContext;
  if (CurrentContext() == context) --t_state.depth;
  MutexGuard guard(driver.context_mutex);
  driver.DestroyContext(context);
  return kCudaSuccess;
}
SIM_CUDA cuCtxDestroy(Context* context) { return cuCtxDestroy_v2(context); }

SIM_CUDA cuCtxGetCurrent(Context** out) {
  SIM_CUDA_CALL(cuCtxGetCurrent);
  SIM_CUDA_OUT(out);
  *out = CurrentContext();
  return kCudaSuccess;
}

SIM_CUDA cuCtxSetCurrent(Context* context) {
  SIM_CUDA_CALL(cuCtxSetCurrent);
  if (context != nullptr && !IsLive(context)) return kCudaInvalidContext;
  if (t_state.depth != 0) --t_state.depth;
  return context == nullptr ? kCudaSuccess : Push(context);
}

SIM_CUDA cuCtxPushCurrent_v2(Context* context) {
  SIM_CUDA_CALL(cuCtxPushCurrent_v2);
  return Push(context);
}
SIM_CUDA cuCtxPushCurrent(Context* context) { return cuCtxPushCurrent_v2(context); }

SIM_CUDA cuCtxPopCurrent_v2(Context** out) {
  SIM_CUDA_CALL(cuCtxPopCurrent_v2);
  if (t_state.depth == 0) return kCudaInvalidContext;
  --t_state.depth;
  if (out != nullptr) *out = t_state.stack[t_state.depth];
  return kCudaSuccess;
}
SIM_CUDA cuCtxPopCurrent(Context** out) { return cuCtxPopCurrent_v2(out); }

SIM_CUDA cuCtxGetDevice(CudaDevice* device) {
  SIM_CUDA_CALL(cuCtxGetDevice);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(device);
  *device = context->device;
  return kCudaSuccess;
}

SIM_CUDA cuCtxGetFlags(unsigned* flags) {
  SIM_CUDA_CALL(cuCtxGetFlags);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(flags);
  *flags = context->flags;
  return kCudaSuccess;
}

SIM_CUDA cuCtxGetId(Context* of, uint64_t* id) {
  SIM_CUDA_CALL(cuCtxGetId);
  SIM_CUDA_OUT(id);
  Context* context = of != nullptr ? of : CurrentContext();
  if (!IsLive(context)) return kCudaInvalidContext;
  *id = context->id;
  return kCudaSuccess;
}

SIM_CUDA cuCtxGetApiVersion(Context* of, unsigned* version) {
  SIM_CUDA_CALL(cuCtxGetApiVersion);
  SIM_CUDA_OUT(version);
  Context* context = of != nullptr ? of : CurrentContext();
  if (!IsLive(context)) return kCudaInvalidContext;
  *version = context->api_version;
  return kCudaSuccess;
}

SIM_CUDA cuCtxGetLimit(size_t* value, int limit) {
  SIM_CUDA_CALL(cuCtxGetLimit);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(value);
  if (limit < 0 || limit >= 16) return kCudaInvalidValue;
  *value = context->limits[limit];
  return kCudaSuccess;
}

SIM_CUDA cuCtxSetLimit(int limit, size_t value) {
  SIM_CUDA_CALL(cuCtxSetLimit);
  SIM_CUDA_CONTEXT();
  if (limit < 0 || limit >= 16) return kCudaInvalidValue;
  context->limits[limit] = value;
  return kCudaSuccess;
}

SIM_CUDA cuCtxGetStreamPriorityRange(int* least, int* greatest) {
  SIM_CUDA_CALL(cuCtxGetStreamPriorityRange);
  SIM_CUDA_CONTEXT();
  if (least != nullptr) *least = 0;
  if (greatest != nullptr) *greatest = -5;
  return kCudaSuccess;
}

// Preferences without effect on anything simulated.
SIM_CUDA cuCtxGetCacheConfig(int* config) {
  SIM_CUDA_CALL(cuCtxGetCacheConfig);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(config);
  *config = 0;
  return kCudaSuccess;
}
SIM_CUDA cuCtxSetCacheConfig(int) {
  SIM_CUDA_CALL(cuCtxSetCacheConfig);
  SIM_CUDA_CONTEXT();
  return kCudaSuccess;
}
SIM_CUDA cuCtxGetSharedMemConfig(int* config) {
  SIM_CUDA_CALL(cuCtxGetSharedMemConfig);
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(config);
  *config = 0;
  return kCudaSuccess;
}
SIM_CUDA cuCtxSetSharedMemConfig(int) {
  SIM_CUDA_CALL(cuCtxSetSharedMemConfig);
  SIM_CUDA_CONTEXT();
  return kCudaSuccess;
}
SIM_CUDA cuCtxEnablePeerAccess(Context* peer, unsigned) {
  SIM_CUDA_CALL(cuCtxEnablePeerAccess);
  SIM_CUDA_CONTEXT();
  return IsLive(peer) && peer != context ? kCudaSuccess : kCudaInvalidContext;
}
SIM_CUDA cuCtxDisablePeerAccess(Context* peer) {
  SIM_CUDA_CALL(cuCtxDisablePeerAccess);
  SIM_CUDA_CONTEXT();
  return IsLive(peer) && peer != context ? kCudaSuccess : kCudaInvalidContext;
}
