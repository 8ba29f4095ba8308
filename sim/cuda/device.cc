// Devices: what there is and what it can do.
#include <cstdio>
#include <cstring>

#include "sim/cuda/driver.h"

using namespace hami::sim;  // NOLINT: only exported C functions below

#define SIM_CUDA_DEVICE(ordinal)                            \
  const DeviceState* device_state = driver.device(ordinal); \
  if (device_state == nullptr) return kCudaInvalidDevice;   \
  const Card& card = driver.card(device_state->card)

SIM_CUDA cuInit(unsigned flags) {
  if (flags != 0) return kCudaInvalidValue;
  return Driver::Get().Init();
}

// Works without cuInit, as in the real driver.
SIM_CUDA cuDriverGetVersion(int* version) {
  SIM_CUDA_OUT(version);
  Machine& machine = Driver::Get().machine();
  if (!machine.Start(&Driver::Get(), Machine::State::kNeeded)) {
    *version = 0;
    return kCudaSuccess;
  }
  *version = machine.cards().cuda_version;
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetCount(int* count) {
  SIM_CUDA_CALL(cuDeviceGetCount);
  SIM_CUDA_OUT(count);
  *count = driver.device_count();
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGet(CudaDevice* out, int ordinal) {
  SIM_CUDA_CALL(cuDeviceGet);
  SIM_CUDA_OUT(out);
  SIM_CUDA_DEVICE(ordinal);
  (void)card;
  *out = ordinal;
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetName(char* name, int size, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceGetName);
  SIM_CUDA_OUT(name);
  SIM_CUDA_DEVICE(device);
  if (size <= 0) return kCudaInvalidValue;
  CopyText(name, static_cast<size_t>(size), card.model);
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetUuid_v2(CudaUuid* uuid, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceGetUuid_v2);
  SIM_CUDA_OUT(uuid);
  SIM_CUDA_DEVICE(device);
  memcpy(uuid->bytes, card.uuid_bytes, sizeof uuid->bytes);
  return kCudaSuccess;
}
// The first form knows no instances: it tells the card's.
SIM_CUDA cuDeviceGetUuid(CudaUuid* uuid, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceGetUuid);
  SIM_CUDA_OUT(uuid);
  SIM_CUDA_DEVICE(device);
  const Card& whole = card.parent < 0 ? card : driver.card(card.parent);
  memcpy(uuid->bytes, whole.uuid_bytes, sizeof uuid->bytes);
  return kCudaSuccess;
}

SIM_CUDA cuDeviceTotalMem_v2(size_t* bytes, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceTotalMem_v2);
  SIM_CUDA_OUT(bytes);
  SIM_CUDA_DEVICE(device);
  *bytes = card.memory_bytes;
  return kCudaSuccess;
}
SIM_CUDA cuDeviceTotalMem(unsigned* bytes, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceTotalMem);
  SIM_CUDA_OUT(bytes);
  SIM_CUDA_DEVICE(device);
  // The form of CUDA 3.1 counts in 32 bits.
  *bytes = card.memory_bytes > 0xffffffff ? 0xffffffff : static_cast<unsigned>(card.memory_bytes);
  return kCudaSuccess;
}

SIM_CUDA cuDeviceComputeCapability(int* major, int* minor, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceComputeCapability);
  SIM_CUDA_OUT(major);
  SIM_CUDA_OUT(minor);
  SIM_CUDA_DEVICE(device);
  *major = card.cc_major;
  *minor = card.cc_minor;
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetPCIBusId(char* text, int size, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceGetPCIBusId);
  SIM_CUDA_OUT(text);
  SIM_CUDA_DEVICE(device);
  if (size <= 0) return kCudaInvalidValue;
  return CopyText(text, static_cast<size_t>(size), card.pci_bus_id) ? kCudaSuccess
                                                                    : kCudaInvalidValue;
}

SIM_CUDA cuDeviceGetByPCIBusId(CudaDevice* out, const char* text) {
  SIM_CUDA_CALL(cuDeviceGetByPCIBusId);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(text);
  unsigned domain = 0, bus = 0, slot = 0;
  if (sscanf(text, "%x:%x:%x", &domain, &bus, &slot) != 3) {
    domain = 0;
    if (sscanf(text, "%x:%x", &bus, &slot) != 2) return kCudaInvalidValue;
  }
  for (int i = 0; i < driver.device_count(); ++i) {
    const Card& card = driver.card(driver.device(i)->card);
    if (card.pci_domain == domain && card.pci_bus == bus && card.pci_device == slot) {
      *out = i;
      return kCudaSuccess;
    }
  }
  return kCudaInvalidDevice;
}

SIM_CUDA cuDeviceGetLuid(char*, unsigned*, CudaDevice) {
  SIM_CUDA_CALL(cuDeviceGetLuid);
  return kCudaNotSupported;  // Windows only
}

SIM_CUDA cuDeviceCanAccessPeer(int* can, CudaDevice a, CudaDevice b) {
  SIM_CUDA_CALL(cuDeviceCanAccessPeer);
  SIM_CUDA_OUT(can);
  if (driver.device(a) == nullptr || driver.device(b) == nullptr) return kCudaInvalidDevice;
  *can = a != b ? 1 : 0;
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetP2PAttribute(int* value, int attribute, CudaDevice a, CudaDevice b) {
  SIM_CUDA_CALL(cuDeviceGetP2PAttribute);
  SIM_CUDA_OUT(value);
  if (driver.device(a) == nullptr || driver.device(b) == nullptr || a == b) {
    return kCudaInvalidDevice;
  }
  constexpr int kRank = 1, kLast = 4;
  if (attribute < kRank || attribute > kLast) return kCudaInvalidValue;
  const bool nvlink =
      driver.machine().cards().nvlinks[driver.device(a)->card][driver.device(b)->card] != 0;
  *value = attribute == kRank ? (nvlink ? 0 : 1) : 1;
  return kCudaSuccess;
}

SIM_CUDA cuDeviceGetAttribute(int* value, int attribute, CudaDevice device) {
  SIM_CUDA_CALL(cuDeviceGetAttribute);
  SIM_CUDA_OUT(value);
  SIM_CUDA_DEVICE(device);
  struct Entry {
    int attribute, value;
  };
  const Entry kCardValues[] = {{13, static_cast<int>(card.sm_clock_mhz) * 1000},
                               {16, static_cast<int>(card.sm_count)},
                               {33, static_cast<int>(card.pci_bus)},
                               {34, static_cast<int>(card.pci_device)},
                               {36, static_cast<int>(card.memory_clock_mhz) * 1000},
                               {50, static_cast<int>(card.pci_domain)},
                               {75, card.cc_major},
                               {76, card.cc_minor}};
  // The same on every simulated card, by CUdevice_attribute; what is not listed is 0.
  static constexpr Entry kValues[] = {
      {1, 1024},      {2, 1024},  {3, 1024},    {4, 64},     {5, 0x7fffffff},  {6, 65535},
      {7, 65535},     {8, 49152}, {9, 65536},   {10, 32},    {11, 0x7fffffff}, {12, 65536},
      {14, 512},      {15, 1},    {19, 1},      {31, 1},     {32, 1},          {37, 5120},
      {38, 41943040}, {39, 2048}, {40, 3},      {41, 1},     {51, 32},         {78, 1},
      {79, 1},        {80, 1},    {81, 167936}, {82, 65536}, {83, 1},          {86, 1},
      {89, 1},        {90, 1},    {91, 1},      {95, 1},     {97, 166912},     {101, 1},
      {102, 1},       {106, 32},  {115, 1}};
  constexpr int kHighestKnown = 160;
  if (attribute < 1 || attribute > kHighestKnown) return kCudaInvalidValue;
  *value = 0;
  for (const Entry& entry : kCardValues) {
    if (entry.attribute == attribute) *value = entry.value;
  }
  for (const Entry& entry : kValues) {
    if (entry.attribute == attribute) *value = entry.value;
  }
  return kCudaSuccess;
}
