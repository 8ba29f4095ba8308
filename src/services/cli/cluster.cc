#include "services/cli/cluster.h"

#include <algorithm>

#include "domain/policy/charge.h"
#include "domain/protocol/names.h"
#include "domain/protocol/node_lock.h"
#include "domain/protocol/objects.h"
#include "domain/protocol/time_text.h"
#include "domain/vendor/vendor.h"

namespace hami::cli {
namespace {

constexpr char kComponentSelector[] = "app.kubernetes.io%2Fcomponent%3Dhami-scheduler";
constexpr std::string_view kWebhookName = "vgpu.hami.io";
constexpr char kConfigEvent[] = "InvalidDevicePluginConfig";
constexpr std::string_view kDeviceConfigKey = "device-config.yaml";

std::string LockText(const Node& node) {
  protocol::NodeLock lock = protocol::ReadNodeLock(node);
  if (lock.form == protocol::LockForm::kNone) return "";
  if (lock.form == protocol::LockForm::kMalformed) return lock.problem;
  std::string holder =
      lock.form == protocol::LockForm::kOwned ? lock.holder.Text() : "an unknown pod";
  return "held for " + holder + " since " +
         (lock.taken ? protocol::FormatRfc3339(*lock.taken) : "?");
}

// Cards that kubelet does not offer: registered once, and the plugin has gone since.
void CheckOffered(const Node& node, const protocol::DeviceConfig& config, NodePicture& picture) {
  for (const vendor::Vendor* vendor : vendor::EnabledVendors(config)) {
    if (!picture.state.cards.contains(vendor->word)) continue;
    std::string count = vendor->hooks.settings(config).count;
    auto offered = node.allocatable.find(count);
    if (offered != node.allocatable.end() && offered->second != "0") continue;
    picture.unoffered = "kubelet offers no " + count + " although cards are registered";
    picture.problems.push_back(picture.unoffered + ": is the device plugin running there?");
  }
}

DeviceUsage* UsageOf(NodeState& state, std::string_view uuid) {
  for (auto& [word, set] : state.cards) {
    for (size_t i = 0; i < set.devices.size(); ++i) {
      if (set.devices[i].id == uuid) return &set.usage[i];
    }
  }
  return nullptr;
}

void AddPod(const Pod& pod, const protocol::DeviceConfig& config, NodePicture& picture) {
  auto shares = vendor::AllocatedShares(pod, config);
  if (!shares) {
    picture.unreadable = pod.key.Text();
    picture.problems.push_back("what pod " + pod.key.Text() +
                               " holds cannot be read: " + shares.error().message);
    return;
  }
  for (const auto& [uuid, charge] : policy::ChargeOf(pod, *shares)) {
    picture.holders[uuid].push_back({pod.key, charge});
    DeviceUsage* usage = UsageOf(picture.state, uuid);
    if (usage == nullptr) {
      picture.problems.push_back("pod " + pod.key.Text() + " holds a share of card " + uuid +
                                 ", which the node does not register");
      continue;
    }
    usage->slots += charge.slots;
    usage->memory += charge.memory;
    usage->cores += charge.cores;
  }
}

// What the plugins of such nodes said last of their settings; whoever may not read Events gets the
// question instead.
void AddConfigEvents(const ApiCall& api, Cluster& cluster) {
  auto unoffered = [](const NodePicture& node) { return !node.unoffered.empty(); };
  if (std::ranges::none_of(cluster.nodes, unoffered)) return;
  auto events = ListAll(api, std::string("/api/v1/namespaces/default/events?fieldSelector=") +
                                 UrlEncode("involvedObject.kind=Node,reason=") + kConfigEvent);
  if (!events) return;
  std::map<std::string, std::pair<WallTime, std::string>, std::less<>> said;
  for (const Json& event : *events) {
    if (StringAt(event, {"reason"}) != kConfigEvent) continue;
    auto when = protocol::ParseRfc3339(StringAt(event, {"lastTimestamp"}));
    auto& last = said[std::string(StringAt(event, {"involvedObject", "name"}))];
    if (!last.second.empty() && when.value_or(WallTime{}) < last.first) continue;
    last = {when.value_or(WallTime{}), std::string(StringAt(event, {"message"}))};
  }
  for (NodePicture& node : cluster.nodes) {
    auto at = said.find(node.state.name);
    if (node.unoffered.empty() || at == said.end()) continue;
    const std::string because = node.unoffered + "; its plugin says, at " +
                                protocol::FormatRfc3339(at->second.first) + ": " +
                                at->second.second;
    for (std::string& problem : node.problems) {
      if (problem.starts_with(node.unoffered)) problem = because;
    }
  }
}

// "--name=value" or "--name value" among a container's words; "" when absent.
std::string ArgOf(const Json& container, std::string_view name) {
  std::string value;
  std::vector<std::string_view> words;
  for (const char* list : {"command", "args"}) {
    const Json* part = Find(container, {list});
    if (part == nullptr || !part->is_array()) continue;
    for (const Json& word : part->get_array()) {
      if (word.is_string()) words.push_back(word.get_string());
    }
  }
  for (size_t i = 0; i < words.size(); ++i) {
    if (!words[i].starts_with(name)) continue;
    std::string_view rest = words[i].substr(name.size());
    if (rest.starts_with('=')) value = rest.substr(1);
    if (rest.empty() && i + 1 < words.size()) value = words[i + 1];
  }
  return value;
}

bool IsReady(const Json& pod) {
  const Json* conditions = Find(pod, {"status", "conditions"});
  if (conditions == nullptr || !conditions->is_array()) return false;
  return std::any_of(conditions->get_array().begin(), conditions->get_array().end(),
                     [](const Json& condition) {
                       return StringAt(condition, {"type"}) == "Ready" &&
                              StringAt(condition, {"status"}) == "True";
                     });
}

void ReadSchedulerPod(const Json& pod, Install& install) {
  ++install.scheduler_pods;
  if (IsReady(pod)) ++install.scheduler_ready;
  const Json* containers = Find(pod, {"spec", "containers"});
  if (containers == nullptr || !containers->is_array()) return;
  for (const Json& container : containers->get_array()) {
    auto take = [&](std::string_view flag, std::string& to) {
      if (std::string value = ArgOf(container, flag); !value.empty()) to = std::move(value);
    };
    take("--scheduler-name", install.scheduler_name);
    take("--node-scheduler-policy", install.policies.node);
    take("--gpu-scheduler-policy", install.policies.card);
    std::string allow;
    take("--allow-disable-control", allow);
    if (!allow.empty()) install.allow_disable_control = protocol::ParseGoTrue(allow);
  }
}

void ReadWebhooks(const std::vector<Json>& configurations, Install& install) {
  install.webhook_known = true;
  for (const Json& configuration : configurations) {
    const Json* webhooks = Find(configuration, {"webhooks"});
    if (webhooks == nullptr || !webhooks->is_array()) continue;
    for (const Json& webhook : webhooks->get_array()) {
      if (StringAt(webhook, {"name"}) != kWebhookName) continue;
      install.webhook_found = true;
      install.webhook_has_ca = !StringAt(webhook, {"clientConfig", "caBundle"}).empty();
      install.webhook_failure_policy = StringAt(webhook, {"failurePolicy"});
    }
  }
}

// A list that a user may lack the right to see: then `note` is kept and nothing is returned.
Result<std::optional<std::vector<Json>>> ListIfAllowed(const ApiCall& api, const std::string& path,
                                                       const char* note, Cluster& cluster) {
  auto items = ListAll(api, path);
  if (items) return std::optional(std::move(*items));
  if (items.error().code != Code::kPermissionDenied) return Fail(std::move(items).error());
  cluster.notes.emplace_back(note);
  return std::optional<std::vector<Json>>();
}

Result<void> LoadDeviceConfig(const ApiCall& api, const LoadOptions& options, Cluster& cluster) {
  cluster.devices = protocol::DefaultDeviceConfig();
  if (!options.device_config.empty()) {
    TRY_ASSIGN(cluster.devices, protocol::ParseDeviceConfig(options.device_config));
    return {};
  }
  std::string path = std::string("/api/v1/configmaps?labelSelector=") + kComponentSelector;
  TRY_ASSIGN(
      auto maps,
      ListIfAllowed(api, path,
                    "configmaps may not be listed: resource names are taken to be the chart's "
                    "defaults (--device-config gives others)",
                    cluster));
  if (!maps) return {};
  for (const Json& map : *maps) {
    std::string_view yaml = StringAt(map, {"data", kDeviceConfigKey});
    if (yaml.empty()) continue;
    auto config = protocol::ParseDeviceConfig(yaml);
    if (config) {
      cluster.devices = std::move(*config);
      return {};
    }
    cluster.notes.push_back("configmap " + std::string(StringAt(map, {"metadata", "name"})) + ": " +
                            config.error().message + "; the chart's defaults are used");
    return {};
  }
  cluster.notes.emplace_back(
      "no ConfigMap of hami-scheduler with device-config.yaml: is HAMi installed? The chart's "
      "defaults "
      "are used");
  return {};
}

Result<void> LoadInstall(const ApiCall& api, Cluster& cluster) {
  std::string path = std::string("/api/v1/pods?labelSelector=") + kComponentSelector;
  TRY_ASSIGN(auto pods, ListIfAllowed(api, path,
                                      "pods of all namespaces may not be listed: whether "
                                      "hami-scheduler runs is unknown",
                                      cluster));
  cluster.install.scheduler_known = pods.has_value();
  for (const Json& pod : pods ? *pods : std::vector<Json>()) ReadSchedulerPod(pod, cluster.install);
  TRY_ASSIGN(
      auto webhooks,
      ListIfAllowed(api, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                    "webhook configurations may not be listed: whether admission works is "
                    "unknown",
                    cluster));
  if (webhooks) ReadWebhooks(*webhooks, cluster.install);
  return {};
}

}  // namespace

std::vector<NodePicture> BuildNodes(const std::vector<Node>& nodes, const std::vector<Pod>& pods,
                                    const protocol::DeviceConfig& config) {
  std::map<std::string, NodePicture, std::less<>> pictures;
  for (const Node& node : nodes) {
    NodePicture& picture = pictures[node.name];
    vendor::NodeView view = vendor::ReadNode(node, config);
    picture.state = std::move(view.state);
    for (const Error& problem : view.problems) {
      picture.unregistered = problem.message;
      picture.problems.push_back(problem.message);
    }
    CheckOffered(node, config, picture);
    picture.lock = LockText(node);
  }
  for (const Pod& pod : pods) {
    auto at = pod.Finished() ? pictures.end() : pictures.find(pod.node_name);
    if (at != pictures.end()) AddPod(pod, config, at->second);
  }
  std::vector<NodePicture> kept;
  for (auto& [name, picture] : pictures) {
    if (!picture.state.cards.empty() || !picture.problems.empty())
      kept.push_back(std::move(picture));
  }
  return kept;
}

Result<Cluster> LoadCluster(const ApiCall& api, const LoadOptions& options) {
  Cluster cluster;
  TRY(LoadDeviceConfig(api, options, cluster));
  TRY(LoadInstall(api, cluster));
  TRY_ASSIGN(auto node_items,
             ListIfAllowed(api, "/api/v1/nodes", "nodes may not be listed: their cards are unknown",
                           cluster));
  cluster.nodes_known = node_items.has_value();
  if (!node_items) return cluster;
  TRY_ASSIGN(auto pod_items,
             ListIfAllowed(api, "/api/v1/pods",
                           "pods of all namespaces may not be listed: cards look free that are not",
                           cluster));
  std::vector<Node> nodes;
  for (const Json& item : *node_items) {
    auto node = protocol::DecodeNode(ToJson(item));
    if (!node) {
      cluster.notes.push_back("a node cannot be read: " + node.error().message);
      continue;
    }
    cluster.facts[node->name].object = item;
    nodes.push_back(std::move(*node));
  }
  std::vector<Pod> pods;
  for (const Json& item : pod_items ? *pod_items : std::vector<Json>()) {
    auto facts = cluster.facts.find(StringAt(item, {"spec", "nodeName"}));
    if (facts != cluster.facts.end()) AddUser(facts->second, item);
    auto pod = protocol::DecodePod(item);
    if (pod)
      pods.push_back(std::move(*pod));
    else
      cluster.notes.push_back("a pod cannot be read: " + pod.error().message);
  }
  cluster.nodes = BuildNodes(nodes, pods, cluster.devices);
  AddConfigEvents(api, cluster);
  return cluster;
}

std::string UrlEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += {'%', kHex[byte >> 4], kHex[byte & 15]};
  }
  return out;
}

Result<Json> GetJson(const ApiCall& api, std::string path) {
  kube::Request request;
  request.path = std::move(path);
  TRY_ASSIGN(kube::Response response, api(std::move(request)));
  return ParseJson(response.body);
}

Result<std::vector<Json>> ListAll(const ApiCall& api, const std::string& path) {
  std::vector<Json> items;
  std::string next;
  do {
    std::string page_path = path + (path.find('?') == std::string::npos ? "?" : "&") + "limit=500";
    if (!next.empty()) page_path += "&continue=" + UrlEncode(next);
    TRY_ASSIGN(Json page, GetJson(api, std::move(page_path)));
    if (const Json* list = Find(page, {"items"}); list != nullptr && list->is_array()) {
      for (const Json& item : list->get_array()) items.push_back(item);
    }
    next = StringAt(page, {"metadata", "continue"});
  } while (!next.empty());
  return items;
}

}  // namespace hami::cli
