// Modules and functions. No code is loaded: a function is its duration in nanoseconds, which its
// name may give ("k_250us_anything"); any image is accepted.
#include <cstring>

#include "sim/cuda/driver.h"

namespace hami::sim {

struct Module : Tagged {
  static constexpr uint32_t kTag = 0x4d4f4455;
  static constexpr int kList = 6;
};

namespace {

constexpr uint64_t kSmallestDuration = 4096;

// Duration that the name asks for; 0 for another name.
uint64_t DurationOf(const char* name) {
  if (strncmp(name, "k_", 2) != 0) return 0;
  uint64_t value = 0;
  const char* at = name + 2;
  for (; *at >= '0' && *at <= '9' && value < 1'000'000'000; ++at) {
    value = value * 10 + static_cast<uint64_t>(*at - '0');
  }
  return strncmp(at, "us", 2) == 0 ? value * 1000 : 0;
}

int FunctionNamed(Driver& driver, const char* name, void** function) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(name);
  if (*name == '\0') return kCudaNotFound;
  uint64_t ns = DurationOf(name);
  if (ns == 0) ns = driver.card(context->card).kernel_ns;
  if (ns < kSmallestDuration) ns = kSmallestDuration;
  *function = reinterpret_cast<void*>(ns);
  return kCudaSuccess;
}

int MakeModule(Driver& driver, Module** out) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  auto* module = driver.New<Module>();
  if (module == nullptr) return kCudaOutOfMemory;
  *out = module;
  return kCudaSuccess;
}

int EndModule(Driver& driver, Module* module) {
  if (!IsLive(module)) return kCudaInvalidHandle;
  driver.Delete(module);
  return kCudaSuccess;
}

}  // namespace
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuModuleLoad(Module** out, const char* path) {
  SIM_CUDA_CALL(cuModuleLoad);
  SIM_CUDA_OUT(path);
  return MakeModule(driver, out);
}
SIM_CUDA cuModuleLoadData(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadData);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out);
}
SIM_CUDA cuModuleLoadDataEx(Module** out, const void* image, unsigned, void*, void*) {
  SIM_CUDA_CALL(cuModuleLoadDataEx);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out);
}
SIM_CUDA cuModuleLoadFatBinary(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadFatBinary);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out);
}
SIM_CUDA cuModuleUnload(Module* module) {
  SIM_CUDA_CALL(cuModuleUnload);
  return EndModule(driver, module);
}
SIM_CUDA cuModuleGetFunction(void** function, Module* module, const char* name) {
  SIM_CUDA_CALL(cuModuleGetFunction);
  SIM_CUDA_OUT(function);
  if (!IsLive(module)) return kCudaInvalidHandle;
  return FunctionNamed(driver, name, function);
}
SIM_CUDA cuModuleGetGlobal_v2(DevicePointer*, size_t*, Module* module, const char*) {
  SIM_CUDA_CALL(cuModuleGetGlobal_v2);
  return IsLive(module) ? kCudaNotFound : kCudaInvalidHandle;
}

// Libraries are modules that need no context until used; kernels are functions.
SIM_CUDA cuLibraryLoadData(Module** out, const void* image, void*, void*, unsigned, void*, void*,
                           unsigned) {
  SIM_CUDA_CALL(cuLibraryLoadData);
  SIM_CUDA_OUT(image);
  SIM_CUDA_OUT(out);
  *out = driver.New<Module>();
  return *out != nullptr ? kCudaSuccess : kCudaOutOfMemory;
}
SIM_CUDA cuLibraryUnload(Module* library) {
  SIM_CUDA_CALL(cuLibraryUnload);
  return EndModule(driver, library);
}
SIM_CUDA cuLibraryGetKernel(void** kernel, Module* library, const char* name) {
  SIM_CUDA_CALL(cuLibraryGetKernel);
  SIM_CUDA_OUT(kernel);
  if (!IsLive(library)) return kCudaInvalidHandle;
  return FunctionNamed(driver, name, kernel);
}
SIM_CUDA cuLibraryGetModule(Module** out, Module* library) {
  SIM_CUDA_CALL(cuLibraryGetModule);
  SIM_CUDA_OUT(out);
  if (!IsLive(library)) return kCudaInvalidHandle;
  *out = library;
  return kCudaSuccess;
}
SIM_CUDA cuKernelGetFunction(void** function, void* kernel) {
  SIM_CUDA_CALL(cuKernelGetFunction);
  SIM_CUDA_OUT(function);
  SIM_CUDA_OUT(kernel);
  *function = kernel;
  return kCudaSuccess;
}

SIM_CUDA cuFuncGetAttribute(int* value, int attribute, void* function) {
  SIM_CUDA_CALL(cuFuncGetAttribute);
  SIM_CUDA_OUT(value);
  if (function == nullptr) return kCudaInvalidHandle;
  constexpr int kMaxThreads = 0, kRegisters = 4, kPtxVersion = 5, kBinaryVersion = 6, kLast = 20;
  if (attribute < 0 || attribute > kLast) return kCudaInvalidValue;
  *value = attribute == kMaxThreads                                  ? 1024
           : attribute == kRegisters                                 ? 32
           : attribute == kPtxVersion || attribute == kBinaryVersion ? 80
                                                                     : 0;
  return kCudaSuccess;
}
SIM_CUDA cuFuncSetAttribute(void* function, int, int) {
  SIM_CUDA_CALL(cuFuncSetAttribute);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuFuncSetCacheConfig(void* function, int) {
  SIM_CUDA_CALL(cuFuncSetCacheConfig);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
SIM_CUDA cuFuncSetSharedMemConfig(void* function, int) {
  SIM_CUDA_CALL(cuFuncSetSharedMemConfig);
  return function != nullptr ? kCudaSuccess : kCudaInvalidHandle;
}
