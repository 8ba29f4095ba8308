// DevicePluginServer: serves v1beta1.DevicePlugin for one resource on one unix socket.
//
// One object is one life of the socket file; ResourceEndpoint makes a new one when kubelet removed
// the file. The device list is a versioned state: each stream gets the newest version as fast as
// its own reader takes it, none waits for another, and none is needed for Publish to return
// (spec/device-plugin.md 2, traps 19 and 20). Thread-safe.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/kubelet/types.h"

namespace hami::kubelet {

struct ServerOptions {
  std::string socket_path;            // absolute; a stale file there is removed
  bool preferred_allocation = false;  // told to kubelet; the same in Register
  Duration drain = std::chrono::seconds(5);
};

class DevicePluginServer {
 public:
  // Errors: kUnavailable when the socket cannot be made. `handler` must outlive the server.
  static Result<std::unique_ptr<DevicePluginServer>> Start(ServerOptions options,
                                                           DevicePluginHandler& handler);
  // Ends the streams, waits up to `drain` for calls in flight, removes the socket.
  ~DevicePluginServer();

  void Publish(const std::vector<PluginDevice>& devices);
  int streams() const;  // ListAndWatch streams open now
  // False when the socket file has gone or is another one.
  bool SocketIntact() const;

 private:
  struct Impl;
  explicit DevicePluginServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::kubelet
