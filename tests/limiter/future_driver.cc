// A libcuda.so.1 that is newer than the limiter: it has a form of a hooked function that the
// limiter cannot know. Nothing in it works.
#include <cstdint>
#include <cstring>

#define DRIVER extern "C" __attribute__((visibility("default"))) int

DRIVER cuInit(unsigned) { return 0; }
DRIVER cuMemAlloc_v2(unsigned long long*, size_t) { return 801; }
DRIVER cuMemAlloc_v3(unsigned long long*, size_t, void*) { return 801; }
DRIVER cuDeviceGetName(char*, int, int) { return 801; }

DRIVER cuGetProcAddress_v2(const char* symbol, void** function, int version, uint64_t,
                           int* status) {
  *function = nullptr;
  if (strcmp(symbol, "cuMemAlloc") == 0) {
    *function = version >= 14000 ? reinterpret_cast<void*>(&cuMemAlloc_v3)
                                 : reinterpret_cast<void*>(&cuMemAlloc_v2);
  }
  if (strcmp(symbol, "cuDeviceGetName") == 0) {
    *function = reinterpret_cast<void*>(&cuDeviceGetName);
  }
  if (status != nullptr) *status = *function == nullptr ? 1 : 0;
  return *function == nullptr ? 500 : 0;
}
