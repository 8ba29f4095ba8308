// Arrays: opaque memory of the card.
#pragma once

#include "sim/cuda/driver.h"

namespace hami::sim {

struct Array : Tagged {
  static constexpr uint32_t kTag = 0x41525259;
  static constexpr int kList = 5;
  Context* context = nullptr;
  int card = -1;
  uint64_t charged = 0;
  CudaArray3dDescriptor shape = {};
};

// Bytes of one element, all channels; 0 for a format that is not simulated.
uint64_t ElementBytes(const CudaArray3dDescriptor& shape);

}  // namespace hami::sim
