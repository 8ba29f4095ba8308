// What kubelet says about devices in use: the pod resources API. Blocking; any thread.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace hami::kubelet {

// Ids of one resource held by one container. Ordinary init containers are not listed by kubelet,
// nor is an Allocate still in flight.
struct HeldDevices {
  std::string ns;
  std::string pod;
  std::string container;
  std::string resource;
  std::vector<std::string> ids;
  bool operator==(const HeldDevices&) const = default;
};

// `socket` is <kubelet root>/pod-resources/kubelet.sock. Errors: kUnavailable.
Result<std::vector<HeldDevices>> ListHeldDevices(const std::string& socket, Duration timeout);

}  // namespace hami::kubelet
