// NVIDIA: whole cards cut by hami-core (spec/vendors.md B.1, spec/scheduler.md 3.4, 6.1).
//
// Data and hooks of the vendor form; see domain/vendor/vendor.h. Pure, any thread.
#pragma once

#include "domain/vendor/vendor.h"

namespace hami::vendor {

const Vendor& Nvidia();

}  // namespace hami::vendor
