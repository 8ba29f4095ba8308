// Modules and functions. No code is loaded: a function is its duration in nanoseconds, which its
// name may give ("k_250us_anything"); any image is accepted. A module takes `module_kib` of its
// card, or what its image says in its first bytes: "fakegpu-module kib=65536".
#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "sim/cuda/driver.h"

namespace hami::sim {

struct Module : Tagged {
  static constexpr uint32_t kTag = 0x4d4f4455;
  static constexpr int kList = 6;
  Context* context = nullptr;  // that it is loaded into; null: a library no context has used yet
  uint64_t kib = 0;
  uint64_t charged = 0;
  Module* next = nullptr;  // of the same context
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

constexpr uint64_t kByCard = ~uint64_t{0};
constexpr size_t kImageHead = 48;

// Size in KiB that an image names, kByCard for any other image.
uint64_t SizeOf(const char* image) {
  constexpr char kMark[] = "fakegpu-module kib=";
  if (strncmp(image, kMark, sizeof kMark - 1) != 0) return kByCard;
  uint64_t kib = 0;
  for (const char* at = image + sizeof kMark - 1; *at >= '0' && *at <= '9' && kib < 1 << 30; ++at) {
    kib = kib * 10 + static_cast<uint64_t>(*at - '0');
  }
  return kib;
}

int ReadHead(const char* path, char (&head)[kImageHead]) {
  memset(head, 0, sizeof head);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  constexpr int kFileNotFound = 301;
  if (fd < 0) return kFileNotFound;
  const ssize_t n = read(fd, head, sizeof head - 1);
  close(fd);
  return n < 0 ? kFileNotFound : kCudaSuccess;
}

// Into the context, unless it is in one already.
int LoadInto(Driver& driver, Module* module, Context* context) {
  MutexGuard guard(driver.memory_mutex);
  if (module->context != nullptr) return kCudaSuccess;
  const Card& card = driver.card(context->card);
  const uint64_t bytes = module->kib == kByCard ? card.module_bytes : module->kib << 10;
  if (bytes != 0) {
    if (const int code = driver.Charge(context->card, bytes, Kind::kModule); code != 0) return code;
  }
  module->charged = bytes;
  module->context = context;
  module->next = context->modules;
  context->modules = module;
  return kCudaSuccess;
}

int MakeModule(Driver& driver, Module** out, const char* image) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  SIM_CUDA_UNSAFE();
  auto* module = driver.New<Module>();
  if (module == nullptr) return kCudaOutOfMemory;
  module->kib = SizeOf(image);
  if (const int code = LoadInto(driver, module, context); code != 0) {
    driver.Delete(module);
    return code;
  }
  *out = module;
  return kCudaSuccess;
}

// A library is loaded into the first context that is current when somebody uses it.
int MakeLibrary(Driver& driver, Module** out, const char* image) {
  SIM_CUDA_OUT(out);
  SIM_CUDA_UNSAFE();
  auto* library = driver.New<Module>();
  if (library == nullptr) return kCudaOutOfMemory;
  library->kib = SizeOf(image);
  Context* context = CurrentContext();
  if (IsLive(context)) {
    if (const int code = LoadInto(driver, library, context); code != 0) {
      driver.Delete(library);
      return code;
    }
  }
  *out = library;
  return kCudaSuccess;
}

int UseLibrary(Driver& driver, Module* library) {
  SIM_CUDA_CONTEXT();
  return LoadInto(driver, library, context);
}

int EndModule(Driver& driver, Module* module) {
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(module)) return kCudaInvalidHandle;
  if (module->context != nullptr) {
    Module** at = &module->context->modules;
    while (*at != module) at = &(*at)->next;
    *at = module->next;
    if (module->charged != 0) {
      driver.ledger().Give(module->context->card, module->charged, Kind::kModule);
    }
  }
  driver.Delete(module);
  return kCudaSuccess;
}

}  // namespace

void EndModulesOf(Driver& driver, Context* context) {
  while (context->modules != nullptr) {
    Module* module = context->modules;
    context->modules = module->next;
    if (module->charged != 0) {
      driver.ledger().Give(context->card, module->charged, Kind::kModule);
    }
    driver.Delete(module);
  }
}
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuModuleLoad(Module** out, const char* path) {
  SIM_CUDA_CALL(cuModuleLoad);
  SIM_CUDA_OUT(path);
  char head[kImageHead];
  if (const int code = ReadHead(path, head); code != 0) return code;
  return MakeModule(driver, out, head);
}
SIM_CUDA cuModuleLoadData(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadData);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, static_cast<const char*>(image));
}
SIM_CUDA cuModuleLoadDataEx(Module** out, const void* image, unsigned, void*, void*) {
  SIM_CUDA_CALL(cuModuleLoadDataEx);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, static_cast<const char*>(image));
}
SIM_CUDA cuModuleLoadFatBinary(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadFatBinary);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, static_cast<const char*>(image));
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
  return MakeLibrary(driver, out, static_cast<const char*>(image));
}
SIM_CUDA cuLibraryLoadFromFile(Module** out, const char* path, void*, void*, unsigned, void*, void*,
                               unsigned) {
  SIM_CUDA_CALL(cuLibraryLoadFromFile);
  SIM_CUDA_OUT(path);
  char head[kImageHead];
  if (const int code = ReadHead(path, head); code != 0) return code;
  return MakeLibrary(driver, out, head);
}
SIM_CUDA cuLibraryUnload(Module* library) {
  SIM_CUDA_CALL(cuLibraryUnload);
  return EndModule(driver, library);
}
SIM_CUDA cuLibraryGetKernel(void** kernel, Module* library, const char* name) {
  SIM_CUDA_CALL(cuLibraryGetKernel);
  SIM_CUDA_OUT(kernel);
  if (!IsLive(library)) return kCudaInvalidHandle;
  if (const int code = UseLibrary(driver, library); code != 0) return code;
  return FunctionNamed(driver, name, kernel);
}
SIM_CUDA cuLibraryGetModule(Module** out, Module* library) {
  SIM_CUDA_CALL(cuLibraryGetModule);
  SIM_CUDA_OUT(out);
  if (!IsLive(library)) return kCudaInvalidHandle;
  if (const int code = UseLibrary(driver, library); code != 0) return code;
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
