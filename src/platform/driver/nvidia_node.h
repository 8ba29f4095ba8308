// NVIDIA on a node: NVML, CDI specs, container edits behind the NodeVendor interface.
#pragma once

#include <memory>
#include <string>

#include "base/fs.h"
#include "platform/driver/node_vendor.h"
#include "platform/driver/nvidia_edits.h"
#include "platform/driver/nvidia_options.h"
#include "platform/driver/nvidia_xid.h"

namespace hami::driver {

// `options` must have passed ValidateNvidiaOptions; `fs` outlives the object.
std::unique_ptr<NodeVendor> MakeNvidiaNode(FileSystem& fs, NvidiaOptions options,
                                           LimiterSettings limiter, XidFilter filter);

}  // namespace hami::driver
