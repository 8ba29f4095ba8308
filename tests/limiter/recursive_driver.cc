// A libcuda.so.1 that looks functions up and calls NVML while it is being loaded and initialised,
// as drivers with tools attached do.
#include <dlfcn.h>

#include <cstddef>
#include <initializer_list>

#define DRIVER extern "C" __attribute__((visibility("default")))

namespace {

int steps = 0;

// The way back into the library from inside its own look-ups.
void LookAround() {
  for (const char* name :
       {"cuInit", "cuMemAlloc_v2", "cuGetProcAddress", "nvmlInit_v2", "malloc"}) {
    dlsym(RTLD_DEFAULT, name);
    dlsym(RTLD_NEXT, name);
  }
  void* nvml = dlopen("libnvidia-ml.so.1", RTLD_NOW);
  const auto init =
      reinterpret_cast<int (*)()>(nvml == nullptr ? nullptr : dlsym(nvml, "nvmlInit_v2"));
  if (init != nullptr && init() == 0) ++steps;
}

struct OnLoad {
  OnLoad() { LookAround(); }
} on_load;

}  // namespace

DRIVER int cuInit(unsigned) {
  LookAround();
  return 0;
}
// 2: in the constructor and in cuInit.
DRIVER int cuDriverGetVersion(int* version) {
  *version = steps;
  return 0;
}
DRIVER int cuMemAlloc_v2(unsigned long long*, size_t) { return 801; }
