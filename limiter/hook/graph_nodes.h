// What is in a graph: how many allocations, how much they take, and what its kernels are. Asks the
// driver about each node; any thread.
#pragma once

#include <cstddef>
#include <cstdint>

#include "abi/region.h"
#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

// What a walk over a graph finds.
struct Survey {
  size_t allocations = 0;  // 0 too if it cannot be told
  uint64_t name = 1;       // what it is in each process: its kernels in their order; 0: not known
};

// A graph of more than kernels has no name: how much a node copies, or how often a condition holds,
// is not known.
Survey SurveyOf(CUgraph graph);

// What a graph's allocations take on each card at most. The driver gives allocations that live at
// different times the same addresses, so it is the volume of the addresses.
struct Footprint {
  uint64_t bytes[HAMI_EXT_DEVICES] = {};
  uint32_t devices = 0;
};

// `allocations`: as a survey counted them.
Footprint FootprintOf(CUgraph graph, size_t allocations);

}  // namespace hami::limiter::hook
