// A small CUDA runtime, libcudart.so.12, for programs that are linked against one: it finds the
// driver as NVIDIA's does (dlopen libcuda.so.1, dlsym of cuGetProcAddress alone, everything else
// through that with the version it knows), so a library that stands between is met on the same way.
//
// One per process, made by the first call; any thread may call. Codes of the runtime that we use
// have the driver's numbers.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hami::sim::cudart {

using DevicePointer = uint64_t;

struct IpcHandle {
  char reserved[64];
};

struct Dim3 {
  unsigned x, y, z;
};

// cudaLaunchConfig_t, and what the driver takes in its place.
struct RuntimeLaunchConfig {
  Dim3 grid, block;
  size_t shared_bytes;
  void* stream;
  void* attributes;
  unsigned attribute_count;
};
struct LaunchConfig {
  Dim3 grid, block;
  unsigned shared_bytes;
  void* stream;
  void* attributes;
  unsigned attribute_count;
};

inline constexpr int kVersion = 12020;
inline constexpr int kInvalidValue = 1, kInsufficientDriver = 35, kInvalidFunction = 98,
                     kInvalidDevice = 101;

// What the driver has, null where it has nothing.
struct Driver {
#define CUDART_DRIVER(name, version, parameters) int(*name) parameters = nullptr;
#include "sim/cudart/driver_functions.inc"
#undef CUDART_DRIVER
};

// The driver's functions, those for per-thread default streams by demand; null: none could be
// loaded.
const Driver* GetDriver(bool per_thread);

// Driver started, the primary context of the thread's device current. 0, or the code to return.
int Ready(bool per_thread, const Driver** driver);

// The thread's device, cudaSetDevice's.
int& CurrentDevice();

// Kernel behind a host stub that __cudaRegisterFunction named; loads its module. 0 or a code.
int FindKernel(const Driver& driver, const void* stub, void** kernel);

// Remembers a code for cudaGetLastError, and returns it.
int Note(int code);

}  // namespace hami::sim::cudart

#define CUDART_API extern "C" __attribute__((visibility("default"))) int
