// Pod and Node as our decisions see them: only the fields that matter, decoded once.
//
// Plain values; no threads. Decoding from JSON: domain/protocol/objects.h.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/quantity.h"

namespace hami {

struct PodKey {
  std::string ns;
  std::string name;
  auto operator<=>(const PodKey&) const = default;
  std::string Text() const { return ns + "/" + name; }
};

enum class ContainerKind : uint8_t {
  kInit,
  kSidecar,
  kApp
};  // sidecar: init with restartPolicy Always

// Quantities as written by the user ("3000", "3Gi"); parsed where a vendor asks for them.
using ResourceMap = std::map<std::string, std::string, std::less<>>;

struct Container {
  std::string name;
  ContainerKind kind = ContainerKind::kApp;
  ResourceMap limits;
  ResourceMap requests;
  bool privileged = false;
  bool disables_control = false;       // env CUDA_DISABLE_CONTROL with a literal true value
  bool disables_core_limit = false;    // env GPU_CORE_UTILIZATION_POLICY with a literal "disable"
  std::vector<std::string> env_names;  // admission only (DecodePodTree); else empty
  // From status; default when the kubelet has not reported yet.
  bool started = false;          // running or has run
  bool terminated = false;       // state.terminated and will not be restarted
  std::optional<int> exit_code;  // of state.terminated
};

struct Pod {
  std::string uid;
  PodKey key;
  std::string resource_version;
  std::string node_name;  // spec.nodeName, "" while unbound
  std::string scheduler_name;
  std::string phase;          // Pending, Running, Succeeded, Failed, Unknown
  std::string runtime_class;  // spec.runtimeClassName, "" when absent
  std::string pod_group;      // label or spec.schedulingGroup; "" for none
  int64_t creation_unix = 0;  // metadata.creationTimestamp
  bool deleting = false;      // metadata.deletionTimestamp set
  bool scheduling_gated = false;
  bool unschedulable = false;  // kube-scheduler's last word: PodScheduled is False, Unschedulable
  std::string restart_policy;  // Always, OnFailure, Never
  std::map<std::string, std::string, std::less<>> annotations;
  std::map<std::string, std::string, std::less<>> labels;
  std::vector<Container> containers;  // init containers first, then app, in spec order

  // Annotation or "".
  const std::string& Annotation(std::string_view name) const;
  // True when no container of the Pod can run any more: phase Succeeded or Failed, or every
  // container has terminated for good. A deletion mark alone is not an end (issue: "never at the
  // deletion mark").
  bool Finished() const;
};

struct Node {
  std::string name;
  std::string uid;
  std::string resource_version;
  std::map<std::string, std::string, std::less<>> annotations;
  std::map<std::string, std::string, std::less<>> labels;
  ResourceMap allocatable;
  ResourceMap capacity;
  bool unschedulable = false;
  const std::string& Annotation(std::string_view key) const;
};

}  // namespace hami
