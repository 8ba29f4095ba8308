// KubeScheduler: what kube-scheduler itself says of a Pod, and those of its tests that a Node and a
// Pod alone decide: cordon, taints, node selector and required affinity, requests.
//
// They run before any card is looked at. Words are kube-scheduler's own, so that counts of its
// message can be compared. Volumes, ports, Pod affinity and spread are not repeated here: there
// its message is the only source. Pure, any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace hami::cli {

// By resource name: cpu in thousandths, everything else whole.
using Amounts = std::map<std::string, int64_t, std::less<>>;

// What the Pod asks for as a whole: its apps and sidecars together, or its largest init step.
Amounts RequestsOf(const Json& pod);

struct NodeFacts {
  Json object;   // as the API server has it
  Amounts used;  // by Pods that have it as their node and have not ended
  int64_t pods = 0;
};

void AddUser(NodeFacts& node, const Json& pod);

// Why kube-scheduler takes a node out.
struct Obstacle {
  std::vector<std::string> words;  // "Insufficient cpu": as its message counts them
  std::string text;                // with what is asked for and what is there
};

// The first test that fails, in kube-scheduler's order. `ignored`: resources that it leaves to us.
std::optional<Obstacle> FirstObstacle(const Json& pod, const NodeFacts& node,
                                      std::span<const std::string> ignored);

// "0/3 nodes are available: 1 Insufficient cpu, 2 CardNotHealth. preemption: ..." by reason; a
// message of another form is one reason. Taints come without their names.
std::map<std::string, int64_t> ReasonsOf(std::string_view message);

// Whether the message is of a call to our extender that failed: `Post "http://.../filter": EOF`.
bool NamesExtender(std::string_view message);

// The message of the condition PodScheduled when it is False for want of a node; "" otherwise.
std::string_view UnscheduledMessage(const Json& pod);

}  // namespace hami::cli
