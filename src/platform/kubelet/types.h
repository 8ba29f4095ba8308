// What kubelet and a device plugin tell each other, as values. No threads, no gRPC types.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace hami::kubelet {

// One schedulable id of a resource (spec/device-plugin.md 2, message Device).
struct PluginDevice {
  std::string id;  // at most 63 characters
  bool healthy = false;
  std::optional<int> numa;
  bool operator==(const PluginDevice&) const = default;
};

struct Mount {
  std::string container_path;
  std::string host_path;
  bool read_only = false;
  bool operator==(const Mount&) const = default;
};

struct DeviceNode {
  std::string container_path;
  std::string host_path;
  std::string permissions;  // subset of "rwm"
  bool operator==(const DeviceNode&) const = default;
};

// Answer for one container. Kubelet checkpoints it and reuses it for restarts and reboots.
struct ContainerResponse {
  std::map<std::string, std::string> envs;
  std::vector<Mount> mounts;
  std::vector<DeviceNode> devices;
  std::map<std::string, std::string> annotations;
  std::vector<std::string> cdi_devices;
  bool operator==(const ContainerResponse&) const = default;
};

using DeviceIds = std::vector<std::string>;

struct PreferredRequest {
  DeviceIds available;
  DeviceIds must_include;
  int size = 0;
};

using AllocateDone = std::function<void(Result<std::vector<ContainerResponse>>)>;
// Empty means "no preference".
using PreferredDone = std::function<void(Result<std::vector<DeviceIds>>)>;

// The plugin's decisions. Called on gRPC threads: return at once, answer later, exactly once, from
// any thread. An error's message reaches the user in the Pod's status word for word.
class DevicePluginHandler {
 public:
  virtual ~DevicePluginHandler() = default;
  virtual void Allocate(std::vector<DeviceIds> containers, AllocateDone done) = 0;
  virtual void Prefer(std::vector<PreferredRequest> containers, PreferredDone done) = 0;
};

}  // namespace hami::kubelet
