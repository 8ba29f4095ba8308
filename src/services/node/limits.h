// Limits of one container, where it cannot change them: the read-only page, and the shared region
// made before its first process (spec/libvgpu.md C8). Any thread.
#pragma once

#include "base/result.h"
#include "services/node/allocator.h"

namespace hami::node {

// Writes what is not there yet; what is there is in use and is left alone. True: there is a page.
Result<bool> MakeContainerLimits(const LimitsRequest& request);

}  // namespace hami::node
