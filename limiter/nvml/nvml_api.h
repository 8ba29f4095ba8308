// NVML's C interface as far as this library acts in it: our own declarations, from the public
// documentation.
#pragma once

#include <cstdint>

using nvmlReturn_t = int;
using nvmlDevice_t = void*;

inline constexpr nvmlReturn_t NVML_SUCCESS = 0;
inline constexpr nvmlReturn_t NVML_ERROR_NOT_FOUND = 6;
inline constexpr nvmlReturn_t NVML_ERROR_INSUFFICIENT_SIZE = 7;
inline constexpr nvmlReturn_t NVML_ERROR_FUNCTION_NOT_FOUND = 13;
inline constexpr nvmlReturn_t NVML_ERROR_MEMORY = 20;
inline constexpr uint64_t NVML_VALUE_NOT_AVAILABLE = ~uint64_t{0};
inline constexpr unsigned NVML_NO_INSTANCE = ~0u;

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
struct nvmlProcessDetail_v1_t {
  unsigned pid;
  unsigned long long used;
  unsigned gpu_instance, compute_instance;
  unsigned long long protected_memory;
};
struct nvmlProcessDetailList_v1_t {
  unsigned version;
  unsigned mode;  // NVML_PROCESS_MODE_COMPUTE and others
  unsigned count;
  nvmlProcessDetail_v1_t* infos;
};
inline constexpr unsigned NVML_PROCESS_MODE_COMPUTE = 0;
struct nvmlProcessUtilizationSample_t {
  unsigned pid;
  unsigned long long time_us;
  unsigned sm, memory, encoder, decoder;
};
struct nvmlProcessUtilizationInfo_v1_t {
  unsigned long long time_us;
  unsigned pid;
  unsigned sm, memory, encoder, decoder, jpeg, ofa;
};
struct nvmlProcessesUtilizationInfo_v1_t {
  unsigned version;
  unsigned count;
  unsigned long long last_seen_us;
  nvmlProcessUtilizationInfo_v1_t* infos;
};
template <class Struct>
inline constexpr unsigned kVersion1 = sizeof(Struct) | 1u << 24;
static_assert(sizeof(nvmlProcessInfo_v1_t) == 16);
static_assert(sizeof(nvmlProcessInfo_v2_t) == 24);
static_assert(sizeof(nvmlProcessDetail_v1_t) == 32);
static_assert(sizeof(nvmlProcessDetailList_v1_t) == 24);
static_assert(sizeof(nvmlProcessUtilizationSample_t) == 32);
static_assert(sizeof(nvmlProcessUtilizationInfo_v1_t) == 40);
static_assert(sizeof(nvmlProcessesUtilizationInfo_v1_t) == 24);

#define HAMI_NVML_LIST_V1 (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_v1_t* infos)
#define HAMI_NVML_LIST_V2 (nvmlDevice_t device, unsigned* count, nvmlProcessInfo_v2_t* infos)

// X(name, parameters): what this library puts itself in front of; newer names first.
#define HAMI_NVML_HOOKS(X)                                                           \
  X(nvmlInit_v2, ())                                                                 \
  X(nvmlInit, ())                                                                    \
  X(nvmlInitWithFlags, (unsigned flags))                                             \
  X(nvmlDeviceGetMemoryInfo_v2, (nvmlDevice_t device, nvmlMemory_v2_t * memory))     \
  X(nvmlDeviceGetMemoryInfo, (nvmlDevice_t device, nvmlMemory_t * memory))           \
  X(nvmlDeviceGetComputeRunningProcesses_v3, HAMI_NVML_LIST_V2)                      \
  X(nvmlDeviceGetComputeRunningProcesses_v2, HAMI_NVML_LIST_V2)                      \
  X(nvmlDeviceGetComputeRunningProcesses, HAMI_NVML_LIST_V1)                         \
  X(nvmlDeviceGetGraphicsRunningProcesses_v3, HAMI_NVML_LIST_V2)                     \
  X(nvmlDeviceGetGraphicsRunningProcesses_v2, HAMI_NVML_LIST_V2)                     \
  X(nvmlDeviceGetGraphicsRunningProcesses, HAMI_NVML_LIST_V1)                        \
  X(nvmlDeviceGetMPSComputeRunningProcesses_v3, HAMI_NVML_LIST_V2)                   \
  X(nvmlDeviceGetMPSComputeRunningProcesses_v2, HAMI_NVML_LIST_V2)                   \
  X(nvmlDeviceGetMPSComputeRunningProcesses, HAMI_NVML_LIST_V1)                      \
  X(nvmlDeviceGetRunningProcessDetailList,                                           \
    (nvmlDevice_t device, nvmlProcessDetailList_v1_t * request))                     \
  X(nvmlDeviceGetProcessUtilization,                                                 \
    (nvmlDevice_t device, nvmlProcessUtilizationSample_t * samples, unsigned* count, \
     unsigned long long last_seen_us))                                               \
  X(nvmlDeviceGetProcessesUtilizationInfo,                                           \
    (nvmlDevice_t device, nvmlProcessesUtilizationInfo_v1_t * request))              \
  X(nvmlInternalGetExportTable, (const void** table, const void* id))

// What it only calls.
#define HAMI_NVML_CALLS(X)                                                  \
  X(nvmlShutdown, ())                                                       \
  X(nvmlSystemGetDriverVersion, (char* version, unsigned size))             \
  X(nvmlDeviceGetCount_v2, (unsigned* count))                               \
  X(nvmlDeviceGetHandleByIndex_v2, (unsigned index, nvmlDevice_t* device))  \
  X(nvmlDeviceGetUUID, (nvmlDevice_t device, char* uuid, unsigned size))    \
  X(nvmlDeviceIsMigDeviceHandle, (nvmlDevice_t device, unsigned* is_mig))   \
  X(nvmlDeviceGetMaxMigDeviceCount, (nvmlDevice_t device, unsigned* count)) \
  X(nvmlDeviceGetMigDeviceHandleByIndex,                                    \
    (nvmlDevice_t parent, unsigned index, nvmlDevice_t* device))            \
  X(nvmlDeviceGetGpuInstanceId, (nvmlDevice_t device, unsigned* id))        \
  X(nvmlDeviceGetComputeInstanceId, (nvmlDevice_t device, unsigned* id))

extern "C" {
#define HAMI_DECLARE(name, parameters) \
  __attribute__((visibility("default"))) nvmlReturn_t name parameters;
HAMI_NVML_HOOKS(HAMI_DECLARE)
#undef HAMI_DECLARE
}
