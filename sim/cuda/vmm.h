// Virtual memory management: reserved address ranges, physical allocations, mappings between them.
#pragma once

#include "sim/cuda/driver.h"

namespace hami::sim {

// Whether [address, address + size) of a reserved range is mapped throughout; memory_mutex held.
bool IsMapped(const Block& range, uint64_t address, uint64_t size);

}  // namespace hami::sim
