#include "services/node/settings.h"

#include "base/env.h"

namespace hami::node {

void AddNodeFlags(FlagSet& flags, NodeFlags& v) {
  flags.Add("fail-on-init-error", &v.fail_on_init_error,
            "end when the driver cannot be used at start; false: wait for it",
            "FAIL_ON_INIT_ERROR");
  flags.Add("kubelet-socket", &v.kubelet_socket,
            "kubelet's registration socket; ours goes into the same folder; empty: do not register",
            "KUBELET_SOCKET");
  flags.Add("pod-resources-socket", &v.pod_resources_socket,
            "kubelet's pod resources socket; used after a crash; empty: not used",
            "POD_RESOURCES_SOCKET");
  flags.Add("plugins-registry-dir", &v.registry_folder,
            "folder of kubelet's plugin watcher, used when kubelet refuses for a minute",
            "PLUGINS_REGISTRY_DIR");
  flags.Add("registration", &v.registration, "auto, socket or watcher", "REGISTRATION");
  flags.Add("config-file", &v.config_file, "device-config.yaml", "CONFIG_FILE");
  flags.Add("node-config-file", &v.node_config_file, "config.json with per-node overrides",
            "NODE_CONFIG_FILE");
  flags.Add("v", &v.verbosity, "verbosity of the log: 0 to 3 info, 4 debug, 6 trace");
  flags.Add("log-format", &v.log_format, "logfmt or json");
  flags.Add("node-name", &v.node_name, "name of this node; empty: $NODE_NAME", "NodeName");
  flags.Add("device-split-count", &v.split_count, "shares per card; overrides every file",
            "DEVICE_SPLIT_COUNT");
  flags.Add("device-memory-scaling", &v.memory_scaling,
            "registered memory per real memory; overrides every file", "DEVICE_MEMORY_SCALING");
  flags.Add("device-cores-scaling", &v.core_scaling,
            "registered cores per real cores; overrides every file", "DEVICE_CORES_SCALING");
  flags.Add("disable-core-limit", &v.disable_core_limit,
            "do not limit cores in containers; overrides every file", "DISABLE_CORE_LIMIT");
  flags.Add("allow-disable-control", &v.allow_disable_control,
            "false: a container's environment cannot switch its limits off",
            "ALLOW_DISABLE_CONTROL");
  flags.Add("resource-name", &v.resource_name,
            "resource registered with kubelet; empty: resourceCountName of the config file");
  flags.Add("hook-path", &v.hook_path, "the limiter lives in <hook-path>/vgpu on the host",
            "HOOK_PATH");
  flags.Add("limiter-library", &v.limiter_library,
            "libvgpu.so to install: a file, or a folder that is searched for it",
            "LIMITER_LIBRARY");
  flags.Add("lock-dir", &v.lock_dir, "folder of the limiter's lock file", "VGPU_LOCK_DIR");
  flags.Add("scheduler-name", &v.schedulers,
            "schedulers whose Pods get cards; repeatable; empty: any that brings a decision",
            "SCHEDULER_NAME");
  flags.Add("metrics-bind-address", &v.metrics_address,
            "address of /metrics, /healthz, /readyz and /debug/allocations; empty: none",
            "METRICS_BIND_ADDRESS");
  flags.Add("kubeconfig", &v.kubeconfig, "kubeconfig file; empty: $KUBECONFIG, then in-cluster");
  flags.Add("health-recovery", &v.health_recovery,
            "quiet time after a passing driver event until a card is healthy again; 0: never");
  flags.Add("allocate-api-deadline", &v.allocate_api_deadline,
            "how long an answer to kubelet waits for the API server");
  flags.Add("scan-interval", &v.scan_interval, "how often the driver is asked for its cards");
}

Result<void> FinishNodeFlags(NodeFlags& v) {
  if (v.node_name.empty()) v.node_name = GetEnvOr("NODE_NAME", "");
  if (v.node_name.empty()) {
    return Fail(Code::kInvalidArgument,
                "the node's name is not known: set NODE_NAME (fieldRef spec.nodeName) or "
                "--node-name");
  }
  while (v.hook_path.size() > 1 && v.hook_path.ends_with('/')) v.hook_path.pop_back();
  if (!v.hook_path.starts_with('/')) {
    return Fail(Code::kInvalidArgument,
                "invalid --hook-path \"" + v.hook_path + "\": expected an absolute path");
  }
  if (v.scan_interval < std::chrono::milliseconds(100)) {
    return Fail(Code::kInvalidArgument, "invalid --scan-interval: expected at least 100ms");
  }
  return {};
}

driver::Tuning GivenTuning(const FlagSet& given, const NodeFlags& v) {
  driver::Tuning out;
  if (given.Given("device-split-count")) out.split_count = v.split_count;
  if (given.Given("device-memory-scaling")) out.memory_scaling = v.memory_scaling;
  if (given.Given("device-cores-scaling")) out.core_scaling = v.core_scaling;
  if (given.Given("disable-core-limit")) out.disable_core_limit = v.disable_core_limit;
  if (!v.resource_name.empty()) out.resource = v.resource_name;
  return out;
}

}  // namespace hami::node
