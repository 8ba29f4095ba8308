// Virtual memory management: reserved address ranges, physical allocations, mappings between them.
#pragma once

#include "sim/cuda/driver.h"

namespace hami::sim {

// Physical memory. It lives while a handle or a mapping refers to it: releasing the handle of
// mapped memory frees nothing, and that is how programs use it.
struct Physical : Tagged {
  static constexpr uint32_t kTag = 0x50485953;
  static constexpr int kList = 4;
  int card = -1;
  uint64_t size = 0;
  uint64_t charged = 0;  // 0: host memory, another process's, or a multicast object
  int handles = 0;
  int mappings = 0;
  bool is_multicast = false;
  uint32_t wanted_devices = 0, devices = 0;  // of a multicast object: how many, bit per device
  struct Bound* bound = nullptr;             // of a multicast object: what is bound to it
  CudaAllocationProperties properties = {};
};

// Ends it if nothing refers to it any more; memory_mutex held.
void DropIfUnused(Driver& driver, Physical* physical);

// Whether [address, address + size) of a reserved range is mapped throughout; memory_mutex held.
bool IsMapped(const Block& range, uint64_t address, uint64_t size);

// The physical memory that [address, address + size) is mapped to; null if none is, throughout;
// memory_mutex held.
Physical* MappedAt(Driver& driver, uint64_t address, uint64_t size);

// Memory that is bound to a multicast object, which keeps it alive.
struct Bound {
  size_t offset, size;
  Physical* physical;
  Bound* next;
};

}  // namespace hami::sim
