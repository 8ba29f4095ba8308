// Advice: warnings about what a Pod with cards says and nobody will follow.
//
// Wrong values of the user's annotations and mistyped keys are no reason to refuse a Pod (the
// reference ignores them in silence), but its author should hear of them. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "domain/model/pod.h"

namespace hami::admission {

std::vector<std::string> AnnotationAdvice(const Pod& pod);

// For each container that asks for no limits; `allowed`: what the device plugins do with that.
std::vector<std::string> DisabledControlAdvice(const Pod& pod, bool allowed);

}  // namespace hami::admission
