// Extender JSON: what kube-scheduler sends and reads (spec/scheduler.md 4.1). Pure, any thread.
//
// The extender's v1 structs have no JSON tags: keys are written exactly so, nulls included, and
// read without regard to letter case.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/pod.h"

namespace hami::scheduler {

struct FilterArgs {
  Pod pod;
  std::optional<std::vector<std::string>> node_names;  // nodeCacheCapable
  struct NodeObject {
    Node node;
    std::string json;  // as sent, to be sent back
  };
  std::optional<std::vector<NodeObject>> nodes;  // full objects: a simulation
};

// Errors: kInvalidArgument; the message goes into the answer's Error.
Result<FilterArgs> ParseFilterArgs(std::string_view body);

struct FilterAnswer {
  std::optional<std::vector<std::string>> node_names;
  std::optional<std::vector<std::string>> node_objects;  // JSON texts
  std::map<std::string, std::string> failed;             // node -> reason
  std::string error;
};

std::string WriteFilterAnswer(const FilterAnswer& answer);

struct BindArgs {
  std::string uid;
  PodKey pod;
  std::string node;
};

Result<BindArgs> ParseBindArgs(std::string_view body);
std::string WriteBindAnswer(std::string_view error);

}  // namespace hami::scheduler
