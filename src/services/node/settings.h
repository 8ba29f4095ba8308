// Flags of hami-device-plugin that belong to no vendor (spec/device-plugin.md 3). Main thread only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/flags.h"
#include "base/result.h"
#include "platform/driver/node_setup.h"

namespace hami::node {

struct NodeFlags {
  bool fail_on_init_error = true;
  std::string kubelet_socket = "/var/lib/kubelet/device-plugins/kubelet.sock";
  std::string pod_resources_socket = "/var/lib/kubelet/pod-resources/kubelet.sock";
  std::string registry_folder = "/var/lib/kubelet/plugins_registry";
  std::string registration = "auto";
  std::string config_file;
  std::string node_config_file = "/config/config.json";
  int64_t verbosity = 0;
  std::string log_format = "logfmt";
  std::string node_name;
  int64_t split_count = 2;
  double memory_scaling = 1;
  double core_scaling = 1;
  bool disable_core_limit = false;
  bool allow_disable_control = true;
  std::string resource_name;
  std::string hook_path = "/usr/local";
  std::string limiter_library = "/k8s-vgpu/lib";
  std::string lock_dir = "/tmp/vgpulock";
  std::vector<std::string> schedulers;
  std::string metrics_address = ":9396";
  std::string kubeconfig;
  Duration health_recovery = std::chrono::seconds(300);
  Duration allocate_api_deadline = std::chrono::seconds(1);
  Duration scan_interval = std::chrono::seconds(5);
};

void AddNodeFlags(FlagSet& flags, NodeFlags& values);

// $NODE_NAME when --node-name was not given. Errors: kInvalidArgument for a missing node name
// (trap 29) or a value out of range.
Result<void> FinishNodeFlags(NodeFlags& values);

// Those of the tuning flags that were given on the command line or in the environment.
driver::Tuning GivenTuning(const FlagSet& given, const NodeFlags& values);

}  // namespace hami::node
