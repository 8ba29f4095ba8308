// Compile: a Pod's annotations and resources become a PodRequest, once. Pure, any thread.
#pragma once

#include <string>

#include "base/result.h"
#include "domain/model/pod.h"
#include "domain/model/request.h"
#include "domain/protocol/device_config.h"

namespace hami::policy {

// The scheduler's flags, for Pods that do not say otherwise.
struct PolicyDefaults {
  std::string node = "binpack";
  std::string card = "spread";
};

// Errors: kInvalidArgument: the Pod itself is wrong (a bad value or annotation), whatever the node.
Result<PodRequest> CompileRequest(const Pod& pod, const protocol::DeviceConfig& config,
                                  const PolicyDefaults& defaults);

// False: the Pod is none of ours and every node will do.
bool RequestsAnything(const PodRequest& request);

// "binpack", "spread"; anything else is binpack (spec/scheduler.md 7.1).
NodePolicy ParseNodePolicy(std::string_view text);
// One of the words of spec/scheduler.md 7.2, or a comma list of them.
CardPolicy ParseCardPolicy(std::string_view text, bool numa_bind);
// Errors: kInvalidArgument with the reference's texts.
Result<ScoreWeights> ParseScoreWeights(std::string_view text);

}  // namespace hami::policy
