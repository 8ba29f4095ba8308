// Cluster: a picture of cards, shares and our own parts, from the Kubernetes API alone.
//
// Built from Nodes and Pods with the rules the scheduler uses (domain/vendor, domain/policy), so
// that answers agree with its decisions. Plain values; building is pure, loading blocks (main
// thread of a tool). The API server stands behind a function so that tests play it.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "domain/model/cluster.h"
#include "domain/model/pod.h"
#include "domain/policy/compile.h"
#include "domain/protocol/device_config.h"
#include "platform/kube/client.h"
#include "services/cli/kube_scheduler.h"

namespace hami::cli {

using ApiCall = std::function<Result<kube::Response>(kube::Request)>;

// One Pod's share of one card.
struct Holder {
  PodKey pod;
  DeviceUsage usage;
};

struct NodePicture {
  NodeState state;
  std::map<std::string, std::vector<Holder>, std::less<>> holders;  // by card UUID, in Pod order
  std::string lock;                   // "held by ns/pod since ...", "" when free
  std::string unregistered;           // why its registration cannot be read; "" when it can
  std::string unreadable;             // a Pod there whose share cannot be read; "" for none
  std::string unoffered;              // the problem that kubelet offers none of them; "" = fine
  std::vector<std::string> problems;  // sentences: what is wrong with this node's cards
};

// Our parts, as far as the caller may see them.
struct Install {
  bool scheduler_known = false;  // false: we may not list its Pods
  int scheduler_pods = 0;
  int scheduler_ready = 0;
  std::string scheduler_name = "hami-scheduler";
  policy::PolicyDefaults policies;
  bool allow_disable_control = true;  // false: CUDA_DISABLE_CONTROL has no effect
  bool webhook_known = false;
  bool webhook_found = false;
  bool webhook_has_ca = false;
  std::string webhook_failure_policy;
};

struct Cluster {
  protocol::DeviceConfig devices;
  std::vector<NodePicture> nodes;                       // those with cards or problems, by name
  std::map<std::string, NodeFacts, std::less<>> facts;  // of every node, by name
  Install install;
  bool nodes_known = true;         // false: we may not list Nodes
  std::vector<std::string> notes;  // what could not be looked at, and what that means
};

// Pure. `nodes` and `pods` are all that exist; Pods that have finished or have no node hold
// nothing.
std::vector<NodePicture> BuildNodes(const std::vector<Node>& nodes, const std::vector<Pod>& pods,
                                    const protocol::DeviceConfig& config);

struct LoadOptions {
  std::string device_config;  // YAML; "" = from the cluster's ConfigMap, else the chart's defaults
};

// Errors: the API server cannot be reached or refuses us altogether. What a user may not see
// becomes a note instead.
Result<Cluster> LoadCluster(const ApiCall& api, const LoadOptions& options);

// Percent-encodes a query value or a path segment.
std::string UrlEncode(std::string_view text);
// GET, parsed.
Result<Json> GetJson(const ApiCall& api, std::string path);
// Every page of a list; `path` may hold a query.
Result<std::vector<Json>> ListAll(const ApiCall& api, const std::string& path);

}  // namespace hami::cli
