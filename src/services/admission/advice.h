// Advice: warnings about what a Pod with cards says and nobody will follow.
//
// Wrong values of the user's annotations and mistyped keys are no reason to refuse a Pod (the
// reference ignores them in silence), but its author should hear of them. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "domain/model/pod.h"
#include "domain/protocol/device_config.h"

namespace hami::admission {

std::vector<std::string> AnnotationAdvice(const Pod& pod);

// Resources in the domains of ours whose names resemble ours and are not.
std::vector<std::string> ResourceAdvice(const Pod& pod, const protocol::DeviceConfig& config);

// For each container that asks for no limits; `allowed`: what the device plugins do with that.
std::vector<std::string> DisabledControlAdvice(const Pod& pod, bool allowed);

}  // namespace hami::admission
