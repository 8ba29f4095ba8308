#include "domain/protocol/objects.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "domain/protocol/names.h"
#include "domain/protocol/time_text.h"

namespace hami::protocol {
namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

// What the kubelet says of one container.
struct ContainerStatus {
  std::string name;
  bool running = false;
  bool has_run = false;
  std::optional<int> exit_code;  // of state.terminated
};

// As the limiter reads it: in any letter case.
bool IsDisable(std::string_view text) {
  return std::ranges::equal(text, std::string_view("disable"), [](char x, char low) {
    return x == low || (x >= 'A' && x <= 'Z' && x - 'A' + 'a' == low);
  });
}

// Walks one object. Functions return the first error; `path_` then names where it was.
class Walker {
 public:
  explicit Walker(DecodeOptions options) : options_(options) {}

  error_code DecodePod(ondemand::object root, Pod& pod);
  error_code DecodeNode(ondemand::object root, Node& node);
  const std::string& path() const { return path_; }

 private:
  using StringMap = std::map<std::string, std::string, std::less<>>;

  // Calls on_field(key, value) for every field, in document order.
  template <class F>
  error_code ForObject(ondemand::object object, F&& on_field) {
    for (auto item : object) {
      ondemand::field field;
      if (auto e = std::move(item).get(field)) return e;
      std::string_view key;
      if (auto e = field.unescaped_key().get(key)) return e;
      if (auto e = on_field(key, field.value())) {
        path_.insert(0, path_.empty() ? "" : ".");
        path_.insert(0, key);
        return e;
      }
    }
    return simdjson::SUCCESS;
  }
  // As above; null is an object without fields.
  template <class F>
  error_code Fields(ondemand::value value, F&& on_field) {
    if (IsNull(value)) return simdjson::SUCCESS;
    ondemand::object object;
    if (auto e = value.get_object().get(object)) return e;
    return ForObject(object, std::forward<F>(on_field));
  }
  template <class F>
  error_code Items(ondemand::value value, F&& on_item) {
    if (IsNull(value)) return simdjson::SUCCESS;
    ondemand::array array;
    if (auto e = value.get_array().get(array)) return e;
    for (auto element : array) {
      ondemand::value item;
      if (auto e = std::move(element).get(item)) return e;
      if (auto e = on_item(item)) return e;
    }
    return simdjson::SUCCESS;
  }

  static bool IsNull(ondemand::value& value) {
    ondemand::json_type type;
    return value.type().get(type) == simdjson::SUCCESS && type == ondemand::json_type::null;
  }
  static error_code Text(ondemand::value value, std::string& out) {
    if (IsNull(value)) return simdjson::SUCCESS;
    std::string_view text;
    if (auto e = value.get_string().get(text)) return e;
    out = text;
    return simdjson::SUCCESS;
  }
  static error_code Flag(ondemand::value value, bool& out) {
    if (IsNull(value)) return simdjson::SUCCESS;
    return value.get_bool().get(out);
  }
  static error_code Whole(ondemand::value value, int64_t& out) {
    if (IsNull(value)) return simdjson::SUCCESS;
    return value.get_int64().get(out);
  }

  // Entries whose key passes `keep`.
  template <class Keep>
  error_code Map(ondemand::value value, StringMap& out, Keep&& keep) {
    return Fields(value, [&](std::string_view key, ondemand::value item) {
      if (!keep(key)) return simdjson::SUCCESS;
      return Text(item, out[std::string(key)]);
    });
  }
  error_code Quantities(ondemand::value value, ResourceMap& out);

  error_code Metadata(ondemand::value value, Pod& pod);
  error_code Spec(ondemand::value value, Pod& pod);
  error_code Status(ondemand::value value, Pod& pod);
  error_code Condition(ondemand::value value, Pod& pod);
  error_code OneContainer(ondemand::value value, Container& out);
  error_code Env(ondemand::value value, Container& out);
  error_code OneStatus(ondemand::value value);
  error_code State(ondemand::value value, ContainerStatus& out, bool last);
  void Finish(Pod& pod);

  DecodeOptions options_;
  std::string path_;
  std::string group_;  // spec.schedulingGroup.podGroupName
  std::vector<Container> init_;
  std::vector<Container> apps_;
  std::vector<std::string> restart_policies_;  // of apps_, "" when they follow the Pod
  std::string own_restart_policy_;             // of the container being read
  std::vector<ContainerStatus> statuses_;
};

bool Any(std::string_view) { return true; }

error_code Walker::Quantities(ondemand::value value, ResourceMap& out) {
  return Fields(value, [&](std::string_view key, ondemand::value item) {
    if (key.find('/') == std::string_view::npos) return simdjson::SUCCESS;
    ondemand::json_type type;
    if (auto e = item.type().get(type)) return e;
    if (type == ondemand::json_type::number) {
      out[std::string(key)] = Trim(item.raw_json_token());
      return simdjson::SUCCESS;
    }
    return Text(item, out[std::string(key)]);
  });
}

error_code Walker::Metadata(ondemand::value value, Pod& pod) {
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "name") return Text(v, pod.key.name);
    if (key == "namespace") return Text(v, pod.key.ns);
    if (key == "uid") return Text(v, pod.uid);
    if (key == "resourceVersion") return Text(v, pod.resource_version);
    if (key == "labels") return Map(v, pod.labels, Any);
    if (key == "annotations") return Map(v, pod.annotations, IsOfInterest);
    if (key == "deletionTimestamp") return pod.deleting = !IsNull(v), simdjson::SUCCESS;
    if (key == "creationTimestamp") {
      std::string text;
      if (auto e = Text(v, text)) return e;
      if (auto t = ParseRfc3339(text)) pod.creation_unix = UnixSeconds(*t);
    }
    return simdjson::SUCCESS;
  });
}

error_code Walker::Env(ondemand::value value, Container& out) {
  return Items(value, [&](ondemand::value item) {
    std::string name;
    std::string text;
    auto e = Fields(item, [&](std::string_view key, ondemand::value v) {
      if (key == "name") return Text(v, name);
      if (key == "value") return Text(v, text);
      return simdjson::SUCCESS;
    });
    if (name == kEnvDisableControl && ParseGoTrue(text)) out.disables_control = true;
    if (name == kEnvCorePolicy) out.disables_core_limit = IsDisable(text);
    if (options_.env_names) out.env_names.push_back(std::move(name));
    return e;
  });
}

error_code Walker::OneContainer(ondemand::value value, Container& out) {
  own_restart_policy_.clear();
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "name") return Text(v, out.name);
    if (key == "env") return Env(v, out);
    if (key == "restartPolicy") return Text(v, own_restart_policy_);
    if (key == "resources") {
      return Fields(v, [&](std::string_view kind, ondemand::value map) {
        if (kind == "limits") return Quantities(map, out.limits);
        if (kind == "requests") return Quantities(map, out.requests);
        return simdjson::SUCCESS;
      });
    }
    if (key == "securityContext") {
      return Fields(v, [&](std::string_view name, ondemand::value flag) {
        return name == "privileged" ? Flag(flag, out.privileged) : simdjson::SUCCESS;
      });
    }
    return simdjson::SUCCESS;
  });
}

error_code Walker::Spec(ondemand::value value, Pod& pod) {
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "nodeName") return Text(v, pod.node_name);
    if (key == "schedulerName") return Text(v, pod.scheduler_name);
    if (key == "restartPolicy") return Text(v, pod.restart_policy);
    if (key == "runtimeClassName") return Text(v, pod.runtime_class);
    if (key == "containers") {
      return Items(v, [&](ondemand::value item) {
        auto e = OneContainer(item, apps_.emplace_back());
        restart_policies_.push_back(own_restart_policy_);
        return e;
      });
    }
    if (key == "initContainers") {
      return Items(v, [&](ondemand::value item) {
        Container& out = init_.emplace_back();
        auto e = OneContainer(item, out);
        bool sidecar = own_restart_policy_ == "Always";
        out.kind = sidecar ? ContainerKind::kSidecar : ContainerKind::kInit;
        return e;
      });
    }
    if (key == "schedulingGates") {
      return Items(v, [&](ondemand::value) {
        pod.scheduling_gated = true;
        return simdjson::SUCCESS;
      });
    }
    if (key == "schedulingGroup") {
      return Fields(v, [&](std::string_view name, ondemand::value text) {
        return name == "podGroupName" ? Text(text, group_) : simdjson::SUCCESS;
      });
    }
    return simdjson::SUCCESS;
  });
}

error_code Walker::State(ondemand::value value, ContainerStatus& out, bool last) {
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (IsNull(v)) return simdjson::SUCCESS;
    if (key == "running" && !last) out.running = true;
    if (key != "terminated") return simdjson::SUCCESS;
    out.has_run = true;
    if (last) return simdjson::SUCCESS;
    out.exit_code = 0;
    return Fields(v, [&](std::string_view name, ondemand::value code) {
      if (name != "exitCode") return simdjson::SUCCESS;
      int64_t number = 0;
      auto e = Whole(code, number);
      out.exit_code = static_cast<int>(number);
      return e;
    });
  });
}

error_code Walker::OneStatus(ondemand::value value) {
  ContainerStatus& out = statuses_.emplace_back();
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "name") return Text(v, out.name);
    if (key == "state") return State(v, out, false);
    if (key == "lastState") return State(v, out, true);
    if (key == "restartCount") {
      int64_t count = 0;
      auto e = Whole(v, count);
      out.has_run = out.has_run || count > 0;
      return e;
    }
    return simdjson::SUCCESS;
  });
}

error_code Walker::Condition(ondemand::value value, Pod& pod) {
  std::string type;
  std::string status;
  std::string reason;
  auto e = Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "type") return Text(v, type);
    if (key == "status") return Text(v, status);
    if (key == "reason") return Text(v, reason);
    return simdjson::SUCCESS;
  });
  if (type == "PodScheduled" && status == "False" && reason == "Unschedulable") {
    pod.unschedulable = true;
  }
  return e;
}

error_code Walker::Status(ondemand::value value, Pod& pod) {
  return Fields(value, [&](std::string_view key, ondemand::value v) {
    if (key == "phase") return Text(v, pod.phase);
    if (key == "conditions") {
      return Items(v, [&](ondemand::value item) { return Condition(item, pod); });
    }
    if (key == "containerStatuses" || key == "initContainerStatuses") {
      return Items(v, [&](ondemand::value item) { return OneStatus(item); });
    }
    return simdjson::SUCCESS;
  });
}

// Will a container that ended with this code stay down? A sidecar is decided by its Pod's apps.
bool StaysDown(ContainerKind kind, std::string_view policy, int exit_code) {
  if (policy == "Never") return true;
  return exit_code == 0 && (kind == ContainerKind::kInit || policy == "OnFailure");
}

// Puts containers in order and the kubelet's words to them, once everything has been read.
void Walker::Finish(Pod& pod) {
  for (std::string_view label : {kPodGroupLabel, kPodGroupLabelLegacy}) {
    auto it = pod.labels.find(label);
    if (it != pod.labels.end() && pod.pod_group.empty()) pod.pod_group = it->second;
  }
  if (pod.pod_group.empty()) pod.pod_group = std::move(group_);
  size_t inits = init_.size();
  pod.containers = std::move(init_);
  std::ranges::move(apps_, std::back_inserter(pod.containers));
  bool apps_down = true;
  for (size_t i = pod.containers.size(); i-- > 0;) {  // apps first: sidecars depend on them
    Container& c = pod.containers[i];
    auto status = std::ranges::find(statuses_, c.name, &ContainerStatus::name);
    if (status != statuses_.end()) {
      c.exit_code = status->exit_code;
      c.started = status->running || status->has_run || status->exit_code;
    }
    std::string_view policy = pod.restart_policy;
    if (i >= inits && !restart_policies_[i - inits].empty()) policy = restart_policies_[i - inits];
    if (c.exit_code) {
      c.terminated =
          pod.deleting ||
          (c.kind == ContainerKind::kSidecar ? apps_down : StaysDown(c.kind, policy, *c.exit_code));
    }
    if (i >= inits) apps_down = apps_down && c.terminated;
  }
}

error_code Walker::DecodePod(ondemand::object root, Pod& pod) {
  auto e = ForObject(root, [&](std::string_view key, ondemand::value v) {
    if (key == "metadata") return Metadata(v, pod);
    if (key == "spec") return Spec(v, pod);
    if (key == "status") return Status(v, pod);
    return simdjson::SUCCESS;
  });
  if (!e) Finish(pod);
  return e;
}

error_code Walker::DecodeNode(ondemand::object root, Node& node) {
  return ForObject(root, [&](std::string_view key, ondemand::value value) {
    if (key == "metadata") {
      return Fields(value, [&](std::string_view name, ondemand::value v) {
        if (name == "name") return Text(v, node.name);
        if (name == "uid") return Text(v, node.uid);
        if (name == "resourceVersion") return Text(v, node.resource_version);
        if (name == "labels") return Map(v, node.labels, Any);
        if (name == "annotations") return Map(v, node.annotations, IsOfInterest);
        return simdjson::SUCCESS;
      });
    }
    if (key == "spec") {
      return Fields(value, [&](std::string_view name, ondemand::value v) {
        return name == "unschedulable" ? Flag(v, node.unschedulable) : simdjson::SUCCESS;
      });
    }
    if (key == "status") {
      return Fields(value, [&](std::string_view name, ondemand::value v) {
        if (name == "allocatable") return Quantities(v, node.allocatable);
        if (name == "capacity") return Quantities(v, node.capacity);
        return simdjson::SUCCESS;
      });
    }
    return simdjson::SUCCESS;
  });
}

// One per thread: a parser holds one document, and both keep their memory for the next one.
struct Workspace {
  ondemand::parser parser;
  std::string buffer;
};

template <class T, class Decode>
Result<T> DecodeObject(std::string_view json, std::string_view kind, DecodeOptions options,
                       Decode decode) {
  thread_local Workspace workspace;
  workspace.buffer.assign(json);
  workspace.buffer.resize(json.size() + simdjson::SIMDJSON_PADDING);
  T out;
  Walker walker(options);
  ondemand::document document;
  ondemand::object root;
  error_code e =
      workspace.parser.iterate(workspace.buffer.data(), json.size(), workspace.buffer.size())
          .get(document);
  if (!e) e = document.get_object().get(root);
  if (!e) e = (walker.*decode)(root, out);
  if (!e) return out;
  std::string where(kind);
  if (!walker.path().empty()) where += "." + walker.path();
  return Fail(Code::kInvalidArgument, where + ": " + simdjson::error_message(e));
}

}  // namespace

Result<Pod> DecodePod(std::string_view json, DecodeOptions options) {
  return DecodeObject<Pod>(json, "pod", options, &Walker::DecodePod);
}

Result<Pod> DecodePodTree(const Json& pod) { return DecodePod(ToJson(pod), {.env_names = true}); }

Result<Node> DecodeNode(std::string_view json) {
  return DecodeObject<Node>(json, "node", {}, &Walker::DecodeNode);
}

}  // namespace hami::protocol
