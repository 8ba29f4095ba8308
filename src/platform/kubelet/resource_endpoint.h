// ResourceEndpoint: one resource offered to kubelet, for as long as the object lives.
//
// Owns a thread that keeps three things true: our socket is served, kubelet that listens now knows
// us, and both are repaired within a second when kubelet restarts, removes sockets, or the folder
// is made anew. Registration is retried with a backoff of 100 ms to 2 s (spec/device-plugin.md
// 2, 16.25). Publish and status are thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/kubelet/types.h"

namespace hami::kubelet {

// kAuto: classic, and kubelet's plugin watcher only after the classic way has failed for
// `watcher_after`; never both at once, since two endpoints of one resource would race.
enum class RegistrationWay : uint8_t { kAuto, kSocket, kWatcher };
Result<RegistrationWay> ParseRegistrationWay(std::string_view text);

struct EndpointOptions {
  std::string folder;           // where our socket goes: kubelet's device-plugins
  std::string socket_name;      // "hami-nvidia-gpu.sock"
  std::string kubelet_socket;   // "": serve, but register with nobody
  std::string registry_folder;  // plugins_registry; "": the watcher's way is not possible
  std::string resource;         // "nvidia.com/gpu"
  bool preferred_allocation = false;
  RegistrationWay way = RegistrationWay::kAuto;
  Duration watcher_after = std::chrono::seconds(60);
  Duration drain = std::chrono::seconds(5);
};

struct EndpointStatus {
  bool serving = false;
  bool registered = false;
  uint64_t registrations = 0;  // successful ones since start
  uint64_t failures = 0;       // of registering or serving, since start
  int streams = 0;
  std::string last_error;
};

class ResourceEndpoint {
 public:
  // `handler` must outlive the endpoint.
  ResourceEndpoint(EndpointOptions options, DevicePluginHandler& handler);
  ~ResourceEndpoint();  // drains calls in flight, removes the socket

  void Publish(std::vector<PluginDevice> devices);
  EndpointStatus status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::kubelet
