// NVML's C interface as far as this library acts in it: our own declarations, from the public
// documentation.
#pragma once

#include <cstdint>

using nvmlReturn_t = int;
using nvmlDevice_t = void*;

inline constexpr nvmlReturn_t NVML_SUCCESS = 0;
inline constexpr nvmlReturn_t NVML_ERROR_INSUFFICIENT_SIZE = 7;
inline constexpr nvmlReturn_t NVML_ERROR_FUNCTION_NOT_FOUND = 13;
inline constexpr uint64_t NVML_VALUE_NOT_AVAILABLE = ~uint64_t{0};

struct nvmlMemory_t {
  unsigned long long total, free, used;
};
struct nvmlMemory_v2_t {
  unsigned version;
  unsigned long long total, reserved, free, used;
};
struct nvmlProcessInfo_v1_t {
  unsigned pid;
  unsigned long long used;
};
struct nvmlProcessInfo_v2_t {  // of the functions _v2 and _v3
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
};

struct nvmlProcessUtilizationSample_t {
  unsigned pid;
  unsigned long long time_us;
  unsigned sm, memory, encoder, decoder;  // percent
};

// X(name, parameters): what this library puts itself in front of; newer names first.
#define HAMI_NVML_HOOKS(X)                                                       \
  X(nvmlInit_v2, ())                                                             \
  X(nvmlInit, ())                                                                \
  X(nvmlInitWithFlags, (unsigned flags))                                         \
  X(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t * memory)) \
  X(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t * memory))

// What it only calls.
#define HAMI_NVML_CALLS(X)                                                           \
  X(nvmlShutdown, ())                                                                \
  X(nvmlDeviceGetCount_v2, (unsigned* count))                                        \
  X(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t* device))           \
  X(nvmlDeviceGetUUID, (nvmlDevice_t device, char* uuid, unsigned size))             \
  X(nvmlDeviceGetProcessUtilization,                                                 \
    (nvmlDevice_t device, nvmlProcessUtilizationSample_t * samples, unsigned* count, \
     unsigned long long last_us))                                                    \
  X(nvmlDeviceGetComputeRunningProcesses_v3,                                         \
    (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_v2_t* infos))             \
  X(nvmlDeviceGetComputeRunningProcesses_v2,                                         \
    (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_v2_t* infos))             \
  X(nvmlDeviceGetComputeRunningProcesses,                                            \
    (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_v1_t* infos))

extern "C" {
#define HAMI_DECLARE(name, parameters) \
  __attribute__((visibility("default"))) nvmlReturn_t name parameters;
HAMI_NVML_HOOKS(HAMI_DECLARE)
#undef HAMI_DECLARE
}
