// NVML's C interface as far as the simulated library acts on it: own declarations of public types
// and codes (spec companions.md 8.1, libvgpu.md D1). Layouts are those of NVML 12.
#pragma once

#include <cstdint>

namespace hami::sim {

enum NvmlReturn : int {
  kNvmlSuccess = 0,
  kNvmlUninitialized = 1,
  kNvmlInvalidArgument = 2,
  kNvmlNotSupported = 3,
  kNvmlNotFound = 6,
  kNvmlInsufficientSize = 7,
  kNvmlDriverNotLoaded = 9,
  kNvmlTimeout = 10,
  kNvmlGpuIsLost = 15,
  kNvmlVersionMismatch = 25,
  kNvmlUnknown = 999,
};

struct NvmlPciInfo {  // v3
  char bus_id_legacy[16];
  uint32_t domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};
static_assert(sizeof(NvmlPciInfo) == 68);

struct NvmlMemory {
  uint64_t total, free, used;
};

struct NvmlMemoryV2 {
  uint32_t version;
  uint64_t total, reserved, free, used;
};
inline constexpr uint32_t kMemoryV2 = sizeof(NvmlMemoryV2) | 2u << 24;

struct NvmlBar1 {
  uint64_t total, free, used;
};

struct NvmlUtilization {
  uint32_t gpu, memory;
};

struct NvmlProcessV1 {
  uint32_t pid;
  uint64_t used;
};

struct NvmlProcessV2 {  // v3 has the same layout
  uint32_t pid;
  uint64_t used;
  uint32_t gpu_instance, compute_instance;
};
static_assert(sizeof(NvmlProcessV2) == 24);

struct NvmlProcessSample {
  uint32_t pid;
  uint64_t time_us;
  uint32_t sm, memory, encoder, decoder;
};
static_assert(sizeof(NvmlProcessSample) == 32);

struct NvmlFieldValue {
  uint32_t field, scope;
  int64_t time, latency_us;
  int32_t type, result;
  uint64_t value;
};
static_assert(sizeof(NvmlFieldValue) == 40);

struct NvmlDevice;
struct NvmlEventSet;

struct NvmlEventDataV1 {
  NvmlDevice* device;
  uint64_t type, data;
};

struct NvmlEventData {
  NvmlDevice* device;
  uint64_t type, data;
  uint32_t gpu_instance, compute_instance;
};

inline constexpr uint64_t kEventSingleBitEcc = 1, kEventDoubleBitEcc = 2, kEventXid = 8;
inline constexpr uint32_t kNoInstance = 0xffffffff;

}  // namespace hami::sim
