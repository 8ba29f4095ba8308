// Every other name of the library: weak, so that a real definition elsewhere wins. They answer
// CUDA_ERROR_NOT_SUPPORTED (3 before cuInit): success would be a lie.
#include "sim/cuda/driver.h"

#define SIM_NAME(name)                                                 \
  extern "C" __attribute__((weak, visibility("default"))) int name() { \
    SIM_CUDA_CALL(name);                                               \
    return ::hami::sim::kCudaNotSupported;                             \
  }
#include "sim/cuda/names.inc"
