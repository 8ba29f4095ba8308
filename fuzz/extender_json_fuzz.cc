// The extender's JSON: what kube-scheduler may send, and what it gets back.
#include "base/json.h"
#include "fuzz/fuzz.h"
#include "services/scheduler/extender_json.h"

using namespace hami;  // NOLINT

FUZZ_TARGET(text) {
  scheduler::FilterAnswer answer;
  const auto filter = scheduler::ParseFilterArgs(text);
  if (filter) {
    answer.node_names = filter->node_names;
    answer.failed[filter->pod.key.name] = filter->pod.uid;
    if (filter->nodes) {
      answer.node_objects.emplace();
      for (const auto& object : *filter->nodes) answer.node_objects->push_back(object.json);
    }
  } else {
    FUZZ_CHECK(!filter.error().message.empty());
    answer.error = filter.error().message;
  }
  FUZZ_CHECK(ParseJson(scheduler::WriteFilterAnswer(answer)).has_value());
  const auto bind = scheduler::ParseBindArgs(text);
  const std::string error = bind ? bind->node : bind.error().message;
  FUZZ_CHECK(ParseJson(scheduler::WriteBindAnswer(error)).has_value());
}
