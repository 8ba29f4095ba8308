// The part of NVML's C interface that we call, from its public facts (spec/companions.md 8.1).
// For nvml.cc only.
#pragma once

#include <cstdint>

namespace hami::driver::nvml {

using Return = int;
using Handle = void*;
using EventSet = void*;

inline constexpr Return kSuccess = 0;
inline constexpr Return kNotSupported = 3;
inline constexpr Return kTimeout = 10;
inline constexpr Return kGpuLost = 15;

inline constexpr uint64_t kEventSingleBitEcc = 1;
inline constexpr uint64_t kEventDoubleBitEcc = 2;
inline constexpr uint64_t kEventXid = 8;

struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};

struct Memory {
  unsigned long long total, free, used;
};

struct EventData {
  Handle device;
  unsigned long long type;
  unsigned long long data;
  unsigned gpu_instance;
  unsigned compute_instance;
};

// Every entry may be null: drivers differ in what they export.
struct Table {
  Return (*init)() = nullptr;
  Return (*shutdown)() = nullptr;
  const char* (*error_string)(Return) = nullptr;
  Return (*driver_version)(char*, unsigned) = nullptr;
  Return (*count)(unsigned*) = nullptr;
  Return (*by_index)(unsigned, Handle*) = nullptr;
  Return (*uuid)(Handle, char*, unsigned) = nullptr;
  Return (*name)(Handle, char*, unsigned) = nullptr;
  Return (*minor)(Handle, unsigned*) = nullptr;
  Return (*pci)(Handle, PciInfo*) = nullptr;
  Return (*memory)(Handle, Memory*) = nullptr;
  Return (*mig_mode)(Handle, unsigned*, unsigned*) = nullptr;
  Return (*capability)(Handle, int*, int*) = nullptr;
  Return (*numa)(Handle, unsigned*) = nullptr;
  Return (*supported_events)(Handle, unsigned long long*) = nullptr;
  Return (*register_events)(Handle, unsigned long long, EventSet) = nullptr;
  Return (*event_set_create)(EventSet*) = nullptr;
  Return (*event_set_free)(EventSet) = nullptr;
  Return (*event_wait)(EventSet, EventData*, unsigned) = nullptr;
};

}  // namespace hami::driver::nvml
