#include "sim/cuda/vmm.h"

#include <cstdlib>
#include <new>

namespace hami::sim {

struct Mapping {
  uint64_t address = 0, size = 0;
  Physical* physical = nullptr;
  Mapping* next = nullptr;
};

namespace {

constexpr uint64_t kGranularity = 2 << 20;

// The reserved range that holds [address, address + size); null if none. memory_mutex held.
Block* FindRange(Driver& driver, uint64_t address, uint64_t size) {
  Block* block = driver.addresses().Find(address);
  if (block == nullptr || block->kind != BlockKind::kReserved) return nullptr;
  return size <= block->size - (address - block->base) ? block : nullptr;
}

}  // namespace

void DropIfUnused(Driver& driver, Physical* physical) {
  if (physical->handles != 0 || physical->mappings != 0) return;
  while (physical->bound != nullptr) {
    Bound* const bound = physical->bound;
    physical->bound = bound->next;
    --bound->physical->mappings;
    DropIfUnused(driver, bound->physical);
    free(bound);
  }
  if (physical->charged != 0) driver.ledger().Give(physical->card, physical->charged, Kind::kVmm);
  driver.Delete(physical);
}

bool IsMapped(const Block& range, uint64_t address, uint64_t size) {
  for (const Mapping* m = range.mappings; m != nullptr && size != 0; m = m->next) {
    if (address < m->address || address >= m->address + m->size) continue;
    const uint64_t here = m->address + m->size - address;
    if (here >= size) return true;
    address += here;
    size -= here;
  }
  return size == 0;
}

Physical* MappedAt(Driver& driver, uint64_t address, uint64_t size) {
  const Block* range = FindRange(driver, address, size);
  for (Mapping* m = range == nullptr ? nullptr : range->mappings; m != nullptr; m = m->next) {
    if (address >= m->address && address + size <= m->address + m->size) return m->physical;
  }
  return nullptr;
}

}  // namespace hami::sim

using namespace hami::sim;  // NOLINT: only exported C functions below

SIM_CUDA cuMemGetAllocationGranularity(size_t* granularity,
                                       const CudaAllocationProperties* properties, int) {
  SIM_CUDA_CALL(cuMemGetAllocationGranularity);
  SIM_CUDA_OUT(granularity);
  SIM_CUDA_OUT(properties);
  *granularity = kGranularity;
  return kCudaSuccess;
}

SIM_CUDA cuMemAddressReserve(DevicePointer* out, size_t size, size_t, DevicePointer, uint64_t) {
  SIM_CUDA_CALL(cuMemAddressReserve);
  SIM_CUDA_OUT(out);
  if (size == 0 || size % kGranularity != 0) return kCudaInvalidValue;
  MutexGuard guard(driver.memory_mutex);
  Block* block = driver.addresses().Allocate(size, false);
  if (block == nullptr) return kCudaOutOfMemory;
  block->kind = BlockKind::kReserved;
  *out = block->base;
  return kCudaSuccess;
}

SIM_CUDA cuMemAddressFree(DevicePointer address, size_t size) {
  SIM_CUDA_CALL(cuMemAddressFree);
  MutexGuard guard(driver.memory_mutex);
  Block* range = FindRange(driver, address, size);
  if (range == nullptr || range->base != address || range->size != size) return kCudaInvalidValue;
  if (range->mappings != nullptr) return kCudaInvalidValue;
  driver.FreeBlock(range);
  return kCudaSuccess;
}

SIM_CUDA cuMemCreate(Physical** out, size_t size, const CudaAllocationProperties* properties,
                     uint64_t) {
  SIM_CUDA_CALL(cuMemCreate);
  SIM_CUDA_OUT(out);
  SIM_CUDA_OUT(properties);
  constexpr int kPinned = 1, kHost = 2, kHostNumaCurrent = 4;
  if (size == 0 || size % kGranularity != 0 || properties->type != kPinned) {
    return kCudaInvalidValue;
  }
  int card = -1;
  if (properties->location.type == kLocationDevice) {
    const DeviceState* device = driver.device(properties->location.id);
    if (device == nullptr) return kCudaInvalidDevice;
    card = device->card;
    if (!driver.ledger().Join()) return kCudaUnknown;
    if (const int code = driver.Charge(card, size, Kind::kVmm); code != 0) return code;
  } else if (properties->location.type < kHost || properties->location.type > kHostNumaCurrent) {
    return kCudaInvalidValue;
  }
  auto* physical = driver.New<Physical>();
  if (physical == nullptr) {
    if (card >= 0) driver.ledger().Give(card, size, Kind::kVmm);
    return kCudaOutOfMemory;
  }
  physical->card = card;
  physical->size = size;
  physical->charged = card >= 0 ? size : 0;
  physical->handles = 1;
  physical->properties = *properties;
  *out = physical;
  return kCudaSuccess;
}

SIM_CUDA cuMemRelease(Physical* physical) {
  SIM_CUDA_CALL(cuMemRelease);
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(physical) || physical->handles == 0) return kCudaInvalidValue;
  --physical->handles;
  DropIfUnused(driver, physical);
  return kCudaSuccess;
}

SIM_CUDA cuMemMap(DevicePointer address, size_t size, size_t offset, Physical* physical,
                  uint64_t flags) {
  SIM_CUDA_CALL(cuMemMap);
  MutexGuard guard(driver.memory_mutex);
  if (!IsLive(physical) || physical->handles == 0 || flags != 0) return kCudaInvalidValue;
  Block* range = FindRange(driver, address, size);
  if (range == nullptr || size == 0 || address % kGranularity != 0 || size % kGranularity != 0 ||
      offset != 0 || size > physical->size) {
    return kCudaInvalidValue;
  }
  Mapping** at = &range->mappings;
  while (*at != nullptr && (*at)->address + (*at)->size <= address) at = &(*at)->next;
  if (*at != nullptr && (*at)->address < address + size) return kCudaAlreadyMapped;
  void* room = malloc(sizeof(Mapping));
  if (room == nullptr) return kCudaOutOfMemory;
  *at = new (room) Mapping{address, size, physical, *at};
  ++physical->mappings;
  return kCudaSuccess;
}

SIM_CUDA cuMemUnmap(DevicePointer address, size_t size) {
  SIM_CUDA_CALL(cuMemUnmap);
  MutexGuard guard(driver.memory_mutex);
  Block* range = FindRange(driver, address, size);
  if (range == nullptr || !IsMapped(*range, address, size)) return kCudaInvalidValue;
  // A mapping goes as a whole, or not at all.
  for (const Mapping* m = range->mappings; m != nullptr; m = m->next) {
    const bool touches = m->address < address + size && address < m->address + m->size;
    const bool inside = m->address >= address && m->address + m->size <= address + size;
    if (touches && !inside) return kCudaInvalidValue;
  }
  Mapping** at = &range->mappings;
  while (*at != nullptr) {
    Mapping* mapping = *at;
    if (mapping->address < address || mapping->address >= address + size) {
      at = &mapping->next;
      continue;
    }
    *at = mapping->next;
    --mapping->physical->mappings;
    DropIfUnused(driver, mapping->physical);
    free(mapping);
  }
  return kCudaSuccess;
}

SIM_CUDA cuMemSetAccess(DevicePointer address, size_t size, const CudaAccess* access,
                        size_t count) {
  SIM_CUDA_CALL(cuMemSetAccess);
  SIM_CUDA_OUT(access);
  MutexGuard guard(driver.memory_mutex);
  const Block* range = FindRange(driver, address, size);
  return count != 0 && range != nullptr && IsMapped(*range, address, size) ? kCudaSuccess
                                                                           : kCudaInvalidValue;
}

SIM_CUDA cuMemRetainAllocationHandle(Physical** out, void* pointer) {
  SIM_CUDA_CALL(cuMemRetainAllocationHandle);
  SIM_CUDA_OUT(out);
  const auto address = reinterpret_cast<uintptr_t>(pointer);
  MutexGuard guard(driver.memory_mutex);
  const Block* range = FindRange(driver, address, 1);
  if (range == nullptr) return kCudaInvalidValue;
  for (Mapping* m = range->mappings; m != nullptr; m = m->next) {
    if (address < m->address || address >= m->address + m->size) continue;
    ++m->physical->handles;
    *out = m->physical;
    return kCudaSuccess;
  }
  return kCudaInvalidValue;
}

SIM_CUDA cuMemGetAllocationPropertiesFromHandle(CudaAllocationProperties* out, Physical* physical) {
  SIM_CUDA_CALL(cuMemGetAllocationPropertiesFromHandle);
  SIM_CUDA_OUT(out);
  if (!IsLive(physical)) return kCudaInvalidValue;
  *out = physical->properties;
  return kCudaSuccess;
}
