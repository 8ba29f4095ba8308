// The driver as programs find it: dlopen and dlsym at run time, so that no CUDA toolkit is needed.
//
// Results are the driver's codes. One thread but where it says otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace hami::gpu {

using DevicePointer = unsigned long long;

struct Driver {
  int (*init)(unsigned);
  int (*device_name)(char*, int, int);
  int (*device_attribute)(int*, int, int);
  int (*driver_version)(int*);
  int (*retain_context)(void**, int);
  int (*set_context)(void*);
  int (*memory_info)(size_t*, size_t*);
  int (*alloc)(DevicePointer*, size_t);
  int (*free)(DevicePointer);
  int (*copy_to_host)(void*, DevicePointer, size_t);
  int (*clear)(DevicePointer, unsigned char, size_t);
  int (*load_module)(void**, const void*);
  int (*find_function)(void**, void*, const char*);
  int (*launch)(void*, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void*,
                void**, void**);
  int (*synchronize)();
};

// Ends the program with a message when the library or a function is not there.
Driver LoadDriver();

// Ends the program with a message when `result` is not 0.
void Must(int result, const char* what);

// The driver with the primary context of device 0 current.
Driver BeginOnDevice0();

// The two kernels (kernels.cc), compiled by the driver for device 0.
struct Kernels {
  void* spin;     // (uint64_t* out, uint64_t ns): spins that long, writes begin and end to out
  void* nothing;  // ()
};
Kernels LoadKernels(const Driver& driver);

// What NVML says of device 0: the driver's version, and bytes of a process; -1 where it does not.
std::string NvmlDriverVersion();
int64_t NvmlBytesOf(unsigned pid);
int64_t NvmlBytesOfAll();

int64_t NowNs();

}  // namespace hami::gpu
