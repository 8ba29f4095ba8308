#include "sim/cudart/runtime.h"

#include <dlfcn.h>
#include <pthread.h>

#include <atomic>

namespace hami::sim::cudart {
namespace {

constexpr int kMaxFunctions = 1024, kMaxModules = 64, kMaxDevices = 32;

struct Image {
  const void* data = nullptr;
  void* modules[kMaxDevices] = {};
};

struct Function {
  const void* stub = nullptr;
  const char* name = nullptr;
  int image = 0;
  void* kernels[kMaxDevices] = {};
};

pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;  // guards all below that is not atomic
Driver g_drivers[2];                                  // legacy, per thread
std::atomic<int> g_state{0};                          // 1: usable, -1: not
int g_init_code = 0;
void* g_contexts[kMaxDevices];
Image g_images[kMaxModules];
int g_image_count = 0;
Function g_functions[kMaxFunctions];
int g_function_count = 0;
__thread int t_device = 0;
__thread int t_last = 0;

using Lookup = int (*)(const char*, void**, int, uint64_t, int*);
using OldLookup = int (*)(const char*, void**, int, uint64_t);

void Fill(Lookup lookup, bool per_thread, Driver& driver) {
  constexpr uint64_t kLegacy = 1, kPerThread = 2;
  const uint64_t flags = per_thread ? kPerThread : kLegacy;
#define CUDART_DRIVER(name, version, parameters)                \
  {                                                             \
    void* found = nullptr;                                      \
    int status = 0;                                             \
    if (lookup(#name, &found, version, flags, &status) == 0) {  \
      driver.name = reinterpret_cast<int(*) parameters>(found); \
    }                                                           \
  }
#include "sim/cudart/driver_functions.inc"
#undef CUDART_DRIVER
}

// g_mutex held.
bool Load() {
  void* library = dlopen("libcuda.so.1", RTLD_NOW);
  if (library == nullptr) return false;
  auto* first = reinterpret_cast<OldLookup>(dlsym(library, "cuGetProcAddress"));
  void* found = nullptr;
  if (first == nullptr || first("cuGetProcAddress", &found, 12000, 0) != 0) return false;
  auto* lookup = reinterpret_cast<Lookup>(found);
  Fill(lookup, false, g_drivers[0]);
  Fill(lookup, true, g_drivers[1]);
  // A runtime of 12.2 works with every driver of 12; what an older one has by the same names is
  // something else.
  constexpr int kOldestDriver = 12000;
  int version = 0;
  return g_drivers[0].cuInit != nullptr && g_drivers[0].cuDriverGetVersion(&version) == 0 &&
         version >= kOldestDriver;
}

}  // namespace

const Driver* GetDriver(bool per_thread) {
  if (g_state.load(std::memory_order_acquire) == 0) {
    pthread_mutex_lock(&g_mutex);
    if (g_state.load() == 0) {
      const bool ok = Load();
      if (ok) g_init_code = g_drivers[0].cuInit(0);
      g_state.store(ok ? 1 : -1, std::memory_order_release);
    }
    pthread_mutex_unlock(&g_mutex);
  }
  return g_state.load(std::memory_order_acquire) > 0 ? &g_drivers[per_thread ? 1 : 0] : nullptr;
}

int Ready(bool per_thread, const Driver** out) {
  const Driver* driver = GetDriver(per_thread);
  *out = driver;
  if (driver == nullptr) return kInsufficientDriver;
  if (g_init_code != 0) return g_init_code;
  void* current = nullptr;
  if (const int code = driver->cuCtxGetCurrent(&current); code != 0) return code;
  if (t_device < 0 || t_device >= kMaxDevices) return kInvalidDevice;
  if (current != nullptr && current == g_contexts[t_device]) return 0;
  pthread_mutex_lock(&g_mutex);
  int code = 0;
  if (g_contexts[t_device] == nullptr) {
    code = driver->cuDevicePrimaryCtxRetain(&g_contexts[t_device], t_device);
  }
  pthread_mutex_unlock(&g_mutex);
  return code != 0 ? code : driver->cuCtxSetCurrent(g_contexts[t_device]);
}

int& CurrentDevice() { return t_device; }

int Note(int code) {
  if (code != 0) t_last = code;
  return code;
}

int FindKernel(const Driver& driver, const void* stub, void** kernel) {
  pthread_mutex_lock(&g_mutex);
  int code = kInvalidFunction;
  for (int i = 0; i < g_function_count; ++i) {
    Function& function = g_functions[i];
    if (function.stub != stub) continue;
    Image& image = g_images[function.image];
    code = 0;
    if (image.modules[t_device] == nullptr) {
      code = driver.cuModuleLoadData(&image.modules[t_device], image.data);
    }
    if (code == 0 && function.kernels[t_device] == nullptr) {
      code = driver.cuModuleGetFunction(&function.kernels[t_device], image.modules[t_device],
                                        function.name);
    }
    *kernel = function.kernels[t_device];
    break;
  }
  pthread_mutex_unlock(&g_mutex);
  return code;
}

namespace {

// The primary context is gone, and all that was in it.
void ForgetDevice(int device) {
  pthread_mutex_lock(&g_mutex);
  g_contexts[device] = nullptr;
  for (Image& image : g_images) image.modules[device] = nullptr;
  for (Function& function : g_functions) function.kernels[device] = nullptr;
  pthread_mutex_unlock(&g_mutex);
}

}  // namespace
}  // namespace hami::sim::cudart

using namespace hami::sim::cudart;  // NOLINT: only exported C functions below

// What compilers put into programs: an image, and host stubs for its kernels.
extern "C" __attribute__((visibility("default"))) void** __cudaRegisterFatBinary(void* image) {
  pthread_mutex_lock(&g_mutex);
  void** handle = nullptr;
  if (g_image_count < kMaxModules) {
    g_images[g_image_count].data = image;
    handle = reinterpret_cast<void**>(&g_images[g_image_count++]);
  }
  pthread_mutex_unlock(&g_mutex);
  return handle;
}
extern "C" __attribute__((visibility("default"))) void __cudaRegisterFatBinaryEnd(void**) {}
extern "C" __attribute__((visibility("default"))) void __cudaUnregisterFatBinary(void**) {}
extern "C" __attribute__((visibility("default"))) void __cudaRegisterFunction(
    void** handle, const void* stub, char*, const char* name, int, void*, void*, void*, void*,
    int*) {
  pthread_mutex_lock(&g_mutex);
  if (handle != nullptr && g_function_count < kMaxFunctions) {
    Function& function = g_functions[g_function_count++];
    function.stub = stub;
    function.name = name;
    function.image = static_cast<int>(reinterpret_cast<Image*>(handle) - g_images);
  }
  pthread_mutex_unlock(&g_mutex);
}

CUDART_API cudaGetLastError() {
  const int code = t_last;
  t_last = 0;
  return code;
}
CUDART_API cudaPeekAtLastError() { return t_last; }

CUDART_API cudaDeviceReset() {
  const Driver* driver = nullptr;
  if (const int code = Ready(false, &driver); code != 0) return Note(code);
  const int code = driver->cuDevicePrimaryCtxReset(t_device);
  if (code == 0) ForgetDevice(t_device);
  return Note(code);
}
