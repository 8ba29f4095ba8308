// Both driver libraries of a machine with a divided card: instances 0 and 2 of card 0, and card 1
// as a whole. Only identity and sizes are real: what tells one device from another.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define DRIVER extern "C" __attribute__((visibility("default"))) int

namespace {

constexpr uint64_t kGi = uint64_t{1} << 30;

struct Device {
  const char* uuid;
  uint64_t bytes;
  int instance;  // -1: a whole card
};
constexpr Device kCards[] = {{"GPU-00000000-0000-0000-0000-0000000000aa", 40 * kGi, -1},
                             {"GPU-00000000-0000-0000-0000-0000000000bb", 80 * kGi, -1}};
constexpr Device kInstances[] = {{"MIG-00000000-0000-0000-0000-0000000000a0", 10 * kGi, 0},
                                 {"MIG-00000000-0000-0000-0000-0000000000a2", 20 * kGi, 2}};
// What CUDA counts.
constexpr const Device* kComputing[] = {&kInstances[0], &kInstances[1], &kCards[1]};

const Device* Find(const char* name) {
  if (*name >= '0' && *name <= '9') return atoi(name) < 3 ? kComputing[atoi(name)] : nullptr;
  for (const Device* device : kComputing) {
    if (strcmp(device->uuid, name) == 0) return device;
  }
  return nullptr;
}

// The devices that CUDA_VISIBLE_DEVICES leaves, in its order; a wrong entry ends the list.
const Device* AtOrdinal(int ordinal) {
  const char* visible = getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return ordinal >= 0 && ordinal < 3 ? kComputing[ordinal] : nullptr;
  char list[256];
  snprintf(list, sizeof list, "%s", visible);
  char* rest = nullptr;
  const char* entry = strtok_r(list, ",", &rest);
  for (int i = 0; entry != nullptr && i <= ordinal; ++i, entry = strtok_r(nullptr, ",", &rest)) {
    const Device* device = Find(entry);
    if (device == nullptr || i == ordinal) return device;
  }
  return nullptr;
}

const Device* Of(const void* handle) { return static_cast<const Device*>(handle); }

int current = -1;
std::atomic<uint64_t> next_pointer{0x7f0000000000};

}  // namespace

DRIVER nvmlInit_v2() { return 0; }
DRIVER nvmlInit() { return 0; }
DRIVER nvmlInitWithFlags(unsigned) { return 0; }
DRIVER nvmlShutdown() { return 0; }
DRIVER nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return 0;
}
DRIVER nvmlDeviceGetHandleByIndex_v2(unsigned index, const void** device) {
  if (index > 1) return 2;
  *device = &kCards[index];
  return 0;
}
DRIVER nvmlDeviceGetUUID(const void* device, char* uuid, unsigned size) {
  snprintf(uuid, size, "%s", Of(device)->uuid);
  return 0;
}
DRIVER nvmlDeviceGetMaxMigDeviceCount(const void* device, unsigned* count) {
  *count = device == &kCards[0] ? 7 : 0;
  return 0;
}
DRIVER nvmlDeviceGetMigDeviceHandleByIndex(const void* card, unsigned index, const void** device) {
  for (const Device& instance : kInstances) {
    if (card != &kCards[0] || instance.instance != static_cast<int>(index)) continue;
    *device = &instance;
    return 0;
  }
  return 6;
}
DRIVER nvmlDeviceIsMigDeviceHandle(const void* device, unsigned* is_mig) {
  *is_mig = Of(device)->instance >= 0 ? 1 : 0;
  return 0;
}
DRIVER nvmlDeviceGetGpuInstanceId(const void* device, unsigned* id) {
  *id = static_cast<unsigned>(Of(device)->instance) + 7;
  return 0;
}
DRIVER nvmlDeviceGetComputeInstanceId(const void*, unsigned* id) {
  *id = 0;
  return 0;
}
DRIVER nvmlDeviceGetMemoryInfo(const void* device, uint64_t* memory) {
  memory[0] = memory[1] = Of(device)->bytes;
  memory[2] = 0;
  return 0;
}
// A neighbour of the host, under a pid that means nothing in a container.
DRIVER nvmlDeviceGetComputeRunningProcesses_v3(const void*, unsigned* count, void* infos) {
  if (infos == nullptr || *count == 0) return *count = 1, 7;
  memset(infos, 0, 24);
  *static_cast<unsigned*>(infos) = 4000000;
  return *count = 1, 0;
}

DRIVER cuInit(unsigned) { return 0; }
DRIVER cuDeviceGetUuid_v2(uint8_t* bytes, int ordinal) {
  const Device* device = AtOrdinal(ordinal);
  if (device == nullptr) return 101;
  memset(bytes, 0, 16);
  sscanf(device->uuid + strlen(device->uuid) - 2, "%2hhx", &bytes[15]);
  return 0;
}
DRIVER cuDeviceTotalMem_v2(size_t* bytes, int ordinal) {
  const Device* device = AtOrdinal(ordinal);
  if (device == nullptr) return 101;
  *bytes = device->bytes;
  return 0;
}
DRIVER cuDevicePrimaryCtxGetState(int ordinal, unsigned*, int* active) {
  *active = current == ordinal;
  return 0;
}
DRIVER cuDevicePrimaryCtxRetain(void** context, int ordinal) {
  if (AtOrdinal(ordinal) == nullptr) return 101;
  current = ordinal;
  *context = &current;
  return 0;
}
DRIVER cuCtxSetCurrent(void*) { return 0; }
DRIVER cuCtxGetCurrent(void** context) {
  *context = current < 0 ? nullptr : &current;
  return 0;
}
DRIVER cuCtxGetDevice(int* ordinal) {
  *ordinal = current;
  return current < 0 ? 201 : 0;
}
DRIVER cuMemAlloc_v2(unsigned long long* pointer, size_t size) {
  *pointer = next_pointer.fetch_add((size + 511) & ~size_t{511});
  return 0;
}
DRIVER cuMemGetInfo_v2(size_t* free_bytes, size_t* total) {
  *free_bytes = *total = AtOrdinal(current)->bytes;
  return 0;
}
