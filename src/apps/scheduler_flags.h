// Command line of hami-scheduler: the reference's spellings (spec/scheduler.md 1.2) and ours.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/flags.h"
#include "domain/protocol/device_config.h"
#include "platform/kube/client.h"
#include "platform/kube/lease.h"

namespace hami {

struct SchedulerFlags {
  std::string http_bind = "127.0.0.1:8080";
  std::string extender_bind;
  std::string metrics_bind = ":9395";
  std::string cert_file, key_file;
  std::string scheduler_name;
  std::string node_policy = "binpack";
  std::string card_policy = "spread";
  std::vector<std::string> node_label_selector;
  std::string device_config_file;
  std::string kubeconfig;
  double kube_qps = 200;
  int64_t kube_burst = 400;
  int64_t kube_timeout_seconds = 0;
  Duration node_lock_timeout = std::chrono::minutes(5);
  Duration node_lock_retry_timeout = std::chrono::seconds(28);
  bool force_overwrite_default_scheduler = true;
  bool allow_privileged = false;
  bool deny_forged_annotations = false;
  std::vector<std::string> decision_writers;
  bool allow_disable_control = true;
  bool annotate_at_filter = false;
  bool leader_elect = false;
  std::string leader_elect_name, leader_elect_namespace;
  int64_t verbosity = 2;
  std::string log_format = "logfmt";
  std::string log_file;
};

void DeclareSchedulerFlags(FlagSet& set, SchedulerFlags& f);
// What can be told without a file or a cluster. Errors: wrong use.
Result<void> CheckFlags(const FlagSet& set, const SchedulerFlags& f);
// The age at which a node lock is stale: flag given > $HAMI_NODELOCK_EXPIRE > 5m (the reference
// ignores the variable: spec/scheduler.md 1.2).
Result<Duration> NodeLockTimeout(const FlagSet& set, const SchedulerFlags& f);
// How to talk to the API server.
kube::ClientOptions ClientOptions(const SchedulerFlags& f);
// The Lease of the kube-scheduler beside us: only next to its holder do we decide.
kube::LeaseFollowerOptions LeaseOptions(const SchedulerFlags& f);
// "k=v" words to a map.
Result<std::map<std::string, std::string, std::less<>>> ParseLabelSelector(
    const std::vector<std::string>& words);

// Reads --device-config-file; warnings are logged. Errors name file, key and value.
Result<protocol::DeviceConfig> LoadDevices(const std::string& path);

}  // namespace hami
