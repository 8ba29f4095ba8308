#include "apps/scheduler_flags.h"

#include "base/duration.h"
#include "base/env.h"
#include "base/fs.h"
#include "base/log.h"
#include "base/version.h"

namespace hami {

void DeclareSchedulerFlags(FlagSet& set, SchedulerFlags& f) {
  set.Add("http_bind", &f.http_bind,
          "address of the webhook, and of the extender unless --extender-bind is given");
  set.Add(
      "extender-bind", &f.extender_bind,
      "address of /filter and /bind in plain HTTP for the kube-scheduler beside us; empty: share "
      "--http_bind, as the reference does");
  set.Add("metrics-bind-address", &f.metrics_bind, "address of /metrics");
  set.Add("cert_file", &f.cert_file, "TLS certificate of --http_bind; read again when it changes");
  set.Add("key_file", &f.key_file, "TLS key of --http_bind; read again when it changes");
  set.Add("scheduler-name", &f.scheduler_name, "written to spec.schedulerName of pods with cards");
  set.Add("node-scheduler-policy", &f.node_policy, "binpack or spread");
  set.Add("gpu-scheduler-policy", &f.card_policy,
          "binpack, spread, mutex, topology-aware, numa, or several with commas");
  set.Add("node-label-selector", &f.node_label_selector, "k=v,...: only such nodes are used");
  set.Add("device-config-file", &f.device_config_file, "device-config.yaml (required)");
  set.Add("kubeconfig", &f.kubeconfig,
          "kubeconfig file; else $KUBECONFIG, ~/.kube/config, the pod's service account");
  set.Add("kube-qps", &f.kube_qps, "requests per second to the API server");
  set.Add("kube-burst", &f.kube_burst, "requests above that in one go");
  set.Add("kube-timeout", &f.kube_timeout_seconds, "seconds for one request; 0: 30");
  set.Add("node-lock-timeout", &f.node_lock_timeout,
          "age at which a node's lock is stale; $HAMI_NODELOCK_EXPIRE when the flag is absent");
  set.Add("node-lock-retry-timeout", &f.node_lock_retry_timeout,
          "how long a bind waits for a node's lock; 0: fail at once; at most 27s counts, below "
          "the extender's httpTimeout");
  set.Add("force-overwrite-default-scheduler", &f.force_overwrite_default_scheduler,
          "false: pods that say default-scheduler are left alone");
  set.Add("allow-privileged", &f.allow_privileged, "admit privileged containers with cards");
  set.Add("deny-forged-annotations", &f.deny_forged_annotations,
          "deny pods that carry allocation annotations on creation instead of stripping them, and "
          "changes of such annotations instead of undoing them");
  set.Add("decision-writers", &f.decision_writers,
          "users that may change the allocation annotations of living pods, beside the nodes; "
          "empty: updates that reach the webhook are let through");
  set.Add("allow-disable-control", &f.allow_disable_control,
          "whether the device plugins let a container's environment switch its limits off; "
          "admission warns accordingly");
  set.Add("annotate-at-filter", &f.annotate_at_filter,
          "write the decision to the pod at /filter already, as the reference does");
  set.Add("leader-elect", &f.leader_elect, "act only while the kube-scheduler beside us leads");
  set.Add("leader-elect-resource-name", &f.leader_elect_name, "name of the Lease to follow");
  set.Add("leader-elect-resource-namespace", &f.leader_elect_namespace, "its namespace");
  set.Add("v", &f.verbosity, "log verbosity as in klog: 0-3 info, 4-5 debug, 6 and more trace");
  set.Add("log-format", &f.log_format, "logfmt or json");
  set.Add("log_file", &f.log_file, "file instead of standard error");
  set.Accept("debug", "accepted by the reference without effect", false);
  for (const char* name : {"logtostderr", "alsologtostderr", "one_output", "skip_headers",
                           "skip_log_headers", "add_dir_header"}) {
    set.Accept(name, "klog", false);
  }
  for (const char* name :
       {"log_dir", "log_file_max_size", "stderrthreshold", "vmodule", "log_backtrace_at"}) {
    set.Accept(name, "klog");
  }
}

Result<void> CheckFlags(const FlagSet& set, const SchedulerFlags& f) {
  if (f.device_config_file.empty()) {
    return Fail(Code::kInvalidArgument, "flag --device-config-file is required");
  }
  TRY(ParseLabelSelector(f.node_label_selector));
  TRY(NodeLockTimeout(set, f));
  return {};
}

Result<Duration> NodeLockTimeout(const FlagSet& set, const SchedulerFlags& f) {
  auto env = GetEnv("HAMI_NODELOCK_EXPIRE");
  if (set.Given("node-lock-timeout") || !env || env->empty()) return f.node_lock_timeout;
  auto parsed = ParseDuration(*env);
  if (!parsed) return Fail(std::move(parsed).error().With("$HAMI_NODELOCK_EXPIRE"));
  return *parsed;
}

kube::ClientOptions ClientOptions(const SchedulerFlags& f) {
  kube::ClientOptions options{.qps = f.kube_qps,
                              .burst = static_cast<int>(f.kube_burst),
                              .user_agent = "hami-scheduler/" + Build().version};
  if (f.kube_timeout_seconds > 0) options.timeout = std::chrono::seconds(f.kube_timeout_seconds);
  return options;
}

kube::LeaseFollowerOptions LeaseOptions(const SchedulerFlags& f) {
  return {.ns = f.leader_elect_namespace, .name = f.leader_elect_name, .identity = HostName()};
}

Result<std::map<std::string, std::string, std::less<>>> ParseLabelSelector(
    const std::vector<std::string>& words) {
  std::map<std::string, std::string, std::less<>> out;
  for (const std::string& word : words) {
    size_t equals = word.find('=');
    if (equals == std::string::npos || equals == 0) {
      return Fail(Code::kInvalidArgument,
                  "flag --node-label-selector: \"" + word + "\": expected key=value");
    }
    out[word.substr(0, equals)] = word.substr(equals + 1);
  }
  return out;
}

Result<protocol::DeviceConfig> LoadDevices(const std::string& path) {
  auto text = RealFileSystem().Read(path);
  if (!text) return Fail(std::move(text).error().With("flag --device-config-file"));
  auto config = protocol::ParseDeviceConfig(*text);
  if (!config) return Fail(std::move(config).error().With(path));
  for (const auto& warning : config->warnings) {
    LOG(kWarn, "device config").Kv("file", path).Kv("warning", warning);
  }
  return config;
}

}  // namespace hami
