// Charge: what a bound Pod holds of each card (spec/scheduler.md 5.2, with sidecars; ADR 0018).
//
// Per card: sidecars + max(largest init container, sum of app containers), as long as the Pod
// lives: its init containers run again whenever its sandbox is made anew. Once the Pod has finished
// the charge is nothing. A deletion mark changes nothing. Pure, any thread.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "domain/model/device.h"
#include "domain/model/pod.h"

namespace hami::policy {

using SharesByVendor = std::map<std::string, PodShares, std::less<>>;
using Charge = std::map<std::string, DeviceUsage, std::less<>>;  // key: card UUID

Charge ChargeOf(const Pod& pod, const SharesByVendor& shares);

}  // namespace hami::policy
