// Charge: what a bound Pod holds of each card, now (spec/scheduler.md 5.2, with sidecars).
//
// Per card: sidecars + max(largest init container, sum of app containers). Once every init
// container has succeeded its part falls away; once the Pod has finished the charge is nothing. A
// deletion mark changes nothing. Pure, any thread.
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

// Init containers are over: none is left that could take its cards again.
bool InitDone(const Pod& pod);

}  // namespace hami::policy
