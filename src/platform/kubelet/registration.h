// The two ways to make oneself known to kubelet (spec/device-plugin.md 2).
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace hami::kubelet {

struct Registration {
  std::string kubelet_socket;  // <device-plugins>/kubelet.sock
  std::string endpoint;        // base name of our socket in the same folder
  std::string resource;        // "nvidia.com/gpu"
  bool preferred_allocation = false;
};

// Classic way: we call kubelet. Blocks up to `timeout`; while it does, kubelet dials our socket, so
// that must be serving. Errors: kUnavailable with kubelet's words.
Result<void> RegisterWithKubelet(const Registration& registration, Duration timeout);

// Other way: kubelet's plugin watcher finds a socket in plugins_registry and asks. Survives
// kubelet's restarts by itself. One thread-safe object per resource; the destructor removes the
// socket.
class RegistrySocket {
 public:
  // `endpoint` is the absolute path of the plugin's own socket.
  static Result<std::unique_ptr<RegistrySocket>> Start(const std::string& path,
                                                       const std::string& resource,
                                                       const std::string& endpoint);
  ~RegistrySocket();
  bool registered() const;  // kubelet's last word

 private:
  struct Impl;
  explicit RegistrySocket(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::kubelet
