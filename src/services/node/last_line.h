// The last line: whether the cards of a container hold what all live Pods of the node were
// promised, this one included (design.md decision 5). Pure, any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "domain/model/device.h"
#include "domain/model/pod.h"
#include "services/node/inventory.h"
#include "services/node/pod_shares.h"

namespace hami::node {

// What is promised of each card now, and by whom.
struct Promise {
  DeviceUsage usage;
  std::vector<std::string> pods;  // "ns/name"
};

// Sums over every Pod that can still run. A Pod whose phase is failed and that never started holds
// nothing: kubelet has refused it.
std::map<std::string, Promise> SumPromises(const std::map<std::string, Pod>& pods,
                                           const VendorWords& words);

// Errors: kFailedPrecondition for a card that is not here or not healthy; kResourceExhausted naming
// card, sum, size and Pods.
Result<void> CheckLastLine(const std::vector<DeviceShare>& shares, const Inventory& inventory,
                           const std::map<std::string, Promise>& promises);

}  // namespace hami::node
