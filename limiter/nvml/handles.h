// Which of the container's cards an NVML handle means.
//
// By UUID, so that the order of initialisation and CUDA_VISIBLE_DEVICES play no part (spec B10). An
// answer is remembered until the next nvmlInit, which may give out other handles. Any thread.
#pragma once

#include "limiter/nvml/nvml_api.h"

namespace hami::limiter::nvml {

// Index in the region; negative: a card that the container's account does not know, such as the
// whole card behind a MIG instance.
int IndexOf(nvmlDevice_t device);

// After an nvmlInit.
void ForgetHandles();

}  // namespace hami::limiter::nvml
