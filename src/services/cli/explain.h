// `hamictl explain pod`: what happened to a Pod that asks for cards, and why.
//
// Runs the scheduler's own decision (domain/policy) read-only on the current picture, and uses its
// words, so that the answer reads as the Event does. Pure, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "domain/model/pod.h"
#include "services/cli/cluster.h"
#include "services/cli/node_answers.h"

namespace hami::cli {

enum class PodState : uint8_t {
  kNoCards,         // asks for none of ours
  kNotMutated,      // admission has not seen it
  kOtherScheduler,  // belongs to somebody else
  kWrong,           // a value that no node can satisfy
  kGated,           // waits for its scheduling gates
  kNoScheduler,     // ours, and hami-scheduler does not run
  kUnschedulable,   // fits nowhere now
  kRefusedByKube,   // fits as far as we can tell, but kube-scheduler says otherwise
  kWaiting,         // fits, not bound yet
  kUnknown,         // pending, and we may not look at the nodes
  kAllocating,      // bound; the device plugin has not handed out the cards yet
  kFailed,          // the device plugin refused, or the Pod failed
  kStarting,        // has its cards; containers are not running yet
  kRunning,
  kFinished,
};
std::string_view PodStateText(PodState state);
// True for states in which nothing is wrong.
bool IsFine(PodState state);

struct PodEvent {
  std::string type;  // Normal, Warning
  std::string reason;
  std::string message;
  std::string source;
  WallTime last{};
  int64_t count = 1;
};

// Events of a list reply, oldest first.
std::vector<PodEvent> DecodeEvents(const std::vector<Json>& items);

struct Grant {
  std::string container;
  DeviceShare share;
};

struct Explanation {
  PodKey pod;
  PodState state = PodState::kNoCards;
  std::string scheduler;
  std::string node;
  std::vector<std::string> asks;      // "main: 3000 MiB and 30 cores on each of 1 card"
  std::vector<std::string> findings;  // sentences, the most important first
  std::vector<Grant> grants;
  bool over = false;  // it has ended: what it held is free again
  std::vector<NodeAnswer> nodes;
  std::vector<PodEvent> events;
  std::vector<std::string> notes;  // what could not be looked at
};

struct PodInput {
  const Json& object;                        // as the API server has it
  std::string_view namespace_webhook_label;  // value of hami.io/webhook on the namespace
  std::vector<PodEvent> events;
  WallTime now{};
};

// Errors: kInvalidArgument when the object is no Pod.
Result<Explanation> Explain(const PodInput& input, const Cluster& cluster);

std::string ExplanationText(const Explanation& explanation, WallTime now);
std::string ExplanationJson(const Explanation& explanation);

}  // namespace hami::cli
