// Every other name of the library: weak, so that a real definition elsewhere wins. They answer
// NVML_ERROR_NOT_SUPPORTED, as a card does that lacks the feature; success would be a lie.
#include "sim/nvml/library.h"

#define SIM_NAME(name)                                                 \
  extern "C" __attribute__((weak, visibility("default"))) int name() { \
    SIM_NVML_CALL(name);                                               \
    return ::hami::sim::kNvmlNotSupported;                             \
  }
#include "sim/nvml/names.inc"
