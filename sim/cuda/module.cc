// Modules and functions. No code is loaded: a function is its duration in nanoseconds, which its
// name may give ("k_250us_anything"); any image is accepted. A module takes `module_kib` of its
// card, or what its image says: a linked cubin by its sections, any other one in its first bytes,
// "fakegpu-module kib=65536".
#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

#include "sim/cuda/driver.h"

namespace hami::sim {

struct Module : Tagged {
  static constexpr uint32_t kTag = 0x4d4f4455;
  static constexpr int kList = 6;
  Context* context = nullptr;  // that it is loaded into; null: a library that no context uses
  bool is_library = false;     // outlives its context
  uint64_t bytes = 0;
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
constexpr int kInvalidImage = 200, kFileNotFound = 301;
constexpr uint16_t kCudaMachine = 190;

bool IsCubin(const char* image) {
  if (memcmp(image, ELFMAG, SELFMAG) != 0) return false;
  const auto* head = reinterpret_cast<const Elf64_Ehdr*>(image);
  return head->e_machine == kCudaMachine && head->e_type == ET_EXEC;
}

// Every section that is loaded but for those that kernels have memory of their own for.
uint64_t CubinBytes(const char* image) {
  const auto* head = reinterpret_cast<const Elf64_Ehdr*>(image);
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image + head->e_shoff);
  const char* names = image + sections[head->e_shstrndx].sh_offset;
  uint64_t end = 0;
  for (const Elf64_Shdr* s = sections; s != sections + head->e_shnum; ++s) {
    const char* name = names + s->sh_name;
    if ((s->sh_flags & SHF_ALLOC) == 0 || strncmp(name, ".nv.shared", 10) == 0 ||
        strncmp(name, ".nv.local", 9) == 0) {
      continue;
    }
    if (s->sh_addralign > 1) end = (end + s->sh_addralign - 1) / s->sh_addralign * s->sh_addralign;
    end += s->sh_size;
  }
  return end;
}

// Bytes that an image asks for, kByCard if it does not tell.
uint64_t SizeOf(const char* image) {
  constexpr char kMark[] = "fakegpu-module kib=";
  if (IsCubin(image)) return CubinBytes(image);
  if (strncmp(image, kMark, sizeof kMark - 1) != 0) return kByCard;
  uint64_t kib = 0;
  for (const char* at = image + sizeof kMark - 1; *at >= '0' && *at <= '9' && kib < 1 << 30; ++at) {
    kib = kib * 10 + static_cast<uint64_t>(*at - '0');
  }
  return kib << 10;
}

int SizeOfFile(const char* path, uint64_t* bytes) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return kFileNotFound;
  const off_t end = lseek(fd, 0, SEEK_END);
  const auto length = end > 0 ? static_cast<uint64_t>(end) : 0;
  void* image = end > 0 ? mmap(nullptr, length, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
  close(fd);
  *bytes = kByCard;
  if (image == MAP_FAILED) return kCudaSuccess;
  const auto* head = static_cast<const Elf64_Ehdr*>(image);
  const bool whole =
      !IsCubin(static_cast<const char*>(image)) ||
      (head->e_shoff < length && head->e_shnum * sizeof(Elf64_Shdr) <= length - head->e_shoff);
  if (whole) *bytes = SizeOf(static_cast<const char*>(image));
  munmap(image, length);
  return whole ? kCudaSuccess : kInvalidImage;
}

// Into the context, unless it is in one already.
int LoadInto(Driver& driver, Module* module, Context* context) {
  MutexGuard guard(driver.memory_mutex);
  if (module->context != nullptr) return kCudaSuccess;
  const Card& card = driver.card(context->card);
  const uint64_t bytes = module->bytes == kByCard ? card.module_bytes : module->bytes;
  if (bytes != 0) {
    if (const int code = driver.Charge(context->card, bytes, Kind::kModule); code != 0) return code;
  }
  module->charged = bytes;
  module->context = context;
  module->next = context->modules;
  context->modules = module;
  return kCudaSuccess;
}

int MakeModule(Driver& driver, Module** out, uint64_t bytes) {
  SIM_CUDA_CONTEXT();
  SIM_CUDA_OUT(out);
  SIM_CUDA_UNSAFE();
  auto* module = driver.New<Module>();
  if (module == nullptr) return kCudaOutOfMemory;
  module->bytes = bytes;
  if (const int code = LoadInto(driver, module, context); code != 0) {
    driver.Delete(module);
    return code;
  }
  *out = module;
  return kCudaSuccess;
}

// A library is loaded into the first context that is current when somebody uses it.
int MakeLibrary(Driver& driver, Module** out, uint64_t bytes) {
  SIM_CUDA_OUT(out);
  SIM_CUDA_UNSAFE();
  auto* library = driver.New<Module>();
  if (library == nullptr) return kCudaOutOfMemory;
  library->is_library = true;
  library->bytes = bytes;
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

void MoveModules(Context* from, Context* to) { MoveTo(to, &from->modules, &to->modules); }

void EndModulesOf(Driver& driver, Context* context) {
  while (context->modules != nullptr) {
    Module* module = context->modules;
    context->modules = module->next;
    if (module->charged != 0) {
      driver.ledger().Give(context->card, module->charged, Kind::kModule);
    }
    module->context = nullptr;
    module->charged = 0;
    if (!module->is_library) driver.Delete(module);
  }
}
}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuModuleLoad(Module** out, const char* path) {
  SIM_CUDA_CALL(cuModuleLoad);
  SIM_CUDA_OUT(path);
  uint64_t bytes = 0;
  if (const int code = SizeOfFile(path, &bytes); code != 0) return code;
  return MakeModule(driver, out, bytes);
}
SIM_CUDA cuModuleLoadData(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadData);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, SizeOf(static_cast<const char*>(image)));
}
SIM_CUDA cuModuleLoadDataEx(Module** out, const void* image, unsigned, void*, void*) {
  SIM_CUDA_CALL(cuModuleLoadDataEx);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, SizeOf(static_cast<const char*>(image)));
}
SIM_CUDA cuModuleLoadFatBinary(Module** out, const void* image) {
  SIM_CUDA_CALL(cuModuleLoadFatBinary);
  SIM_CUDA_OUT(image);
  return MakeModule(driver, out, SizeOf(static_cast<const char*>(image)));
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
  return MakeLibrary(driver, out, SizeOf(static_cast<const char*>(image)));
}
SIM_CUDA cuLibraryLoadFromFile(Module** out, const char* path, void*, void*, unsigned, void*, void*,
                               unsigned) {
  SIM_CUDA_CALL(cuLibraryLoadFromFile);
  SIM_CUDA_OUT(path);
  uint64_t bytes = 0;
  if (const int code = SizeOfFile(path, &bytes); code != 0) return code;
  return MakeLibrary(driver, out, bytes);
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
