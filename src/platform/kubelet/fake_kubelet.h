// FakeKubelet: the other end of the device plugin API, for tests. Test code only.
//
// Serves Registration (and PodResources when asked) on real unix sockets and behaves as kubelet
// does: at start it removes every socket in its folder; at Register it dials back, asks for the
// options and opens ListAndWatch (spec/device-plugin.md 2). What a real kubelet cannot be made to
// do is added: refusing registrations, two streams, a stream that is not read. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "platform/kubelet/pod_resources.h"
#include "platform/kubelet/types.h"

namespace hami::kubelet {

class FakeKubelet {
 public:
  struct Plugin {
    std::string resource;
    std::string endpoint;  // base name
    bool preferred_in_register = false;
    bool preferred_in_options = false;  // the one a real kubelet uses
    std::vector<PluginDevice> devices;  // newest list
    int lists = 0;                      // messages received on this registration's stream
    bool stream_open = false;
  };

  explicit FakeKubelet(std::string folder);
  ~FakeKubelet();

  void Start();  // removes sockets in the folder, listens on <folder>/kubelet.sock
  void Stop();   // as a crash: connections end, the socket file stays
  // The next `n` Register calls answer with an error.
  void RefuseRegistrations(int n);
  std::string socket() const;
  std::string pod_resources_socket() const;  // <folder>/pod-resources.sock while started
  void SetHeld(std::vector<HeldDevices> held);

  // Registrations since construction.
  int registrations() const;
  // Waits until `predicate` holds for the newest registration of the resource; false after a
  // minute.
  bool WaitFor(const std::string& resource, const std::function<bool(const Plugin&)>& predicate);

  Result<std::vector<ContainerResponse>> Allocate(const std::string& resource,
                                                  const std::vector<DeviceIds>& containers);
  Result<std::vector<DeviceIds>> Prefer(const std::string& resource,
                                        const std::vector<PreferredRequest>& containers);
  // A ListAndWatch stream beside kubelet's own: reads one message per Next call, none otherwise.
  class ExtraStream {
   public:
    virtual ~ExtraStream() = default;
    virtual std::vector<PluginDevice> Next() = 0;  // empty when the stream has ended
  };
  std::unique_ptr<ExtraStream> OpenStream(const std::string& resource);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace hami::kubelet
