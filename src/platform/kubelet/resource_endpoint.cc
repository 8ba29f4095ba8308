#include "platform/kubelet/resource_endpoint.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <thread>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "platform/kubelet/device_plugin_server.h"
#include "platform/kubelet/registration.h"
#include "platform/kubelet/socket_watch.h"

namespace hami::kubelet {
namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(2);
constexpr Duration kRegisterTimeout = std::chrono::seconds(10);
constexpr Duration kIdle = std::chrono::hours(1);  // SocketWatch looks every second anyway

}  // namespace

Result<RegistrationWay> ParseRegistrationWay(std::string_view text) {
  if (text == "auto") return RegistrationWay::kAuto;
  if (text == "socket") return RegistrationWay::kSocket;
  if (text == "watcher") return RegistrationWay::kWatcher;
  return Fail(Code::kInvalidArgument, "invalid --registration \"" + std::string(text) +
                                          "\": expected auto, socket or watcher");
}

struct ResourceEndpoint::Impl {
  Impl(EndpointOptions o, DevicePluginHandler& h)
      : options(std::move(o)),
        handler(h),
        socket_path(options.folder + "/" + options.socket_name),
        watch(options.kubelet_socket.empty() ? socket_path : options.kubelet_socket) {}

  void Run() {
    while (!Stopping()) {
      const Duration wait = Step();
      watch.Wait(wait);
    }
    registry.reset();
    std::unique_ptr<DevicePluginServer> last;
    {
      MutexLock lock(mutex);
      last = std::move(server);
    }
  }

  // Repairs what is not as it should be; returns how long nothing needs to be done.
  Duration Step() {
    if (!Serve()) return Backoff();
    if (options.kubelet_socket.empty()) return kIdle;
    if (options.way == RegistrationWay::kWatcher || registry) return UseRegistry();
    const auto kubelet = IdentityOf(options.kubelet_socket);
    if (kubelet && kubelet == known_kubelet) return kIdle;
    SetRegistered(false);
    if (kubelet != seen_kubelet) backoff = kFirstRetry;
    seen_kubelet = kubelet;
    if (!kubelet) return FailedToRegister("kubelet is not listening on " + options.kubelet_socket);
    auto result = RegisterWithKubelet({.kubelet_socket = options.kubelet_socket,
                                       .endpoint = options.socket_name,
                                       .resource = options.resource,
                                       .preferred_allocation = options.preferred_allocation},
                                      kRegisterTimeout);
    if (!result) return FailedToRegister(result.error().message);
    known_kubelet = kubelet;
    Registered("socket");
    return kIdle;
  }

  bool Serve() {
    {
      MutexLock lock(mutex);
      if (server && server->SocketIntact()) return true;
    }
    std::unique_ptr<DevicePluginServer> old;
    {
      MutexLock lock(mutex);
      old = std::move(server);
    }
    old.reset();  // outside the lock: it waits for calls in flight
    known_kubelet.reset();
    auto started = DevicePluginServer::Start({.socket_path = socket_path,
                                              .preferred_allocation = options.preferred_allocation,
                                              .drain = options.drain},
                                             handler);
    MutexLock lock(mutex);
    if (!started) {
      ++status.failures;
      if (status.last_error != started.error().message) {
        status.last_error = started.error().message;
        LOG(kError, "device plugin is not served").Kv("error", status.last_error);
      }
      return false;
    }
    server = std::move(*started);
    if (devices) server->Publish(*devices);
    return true;
  }

  Duration UseRegistry() {
    if (!registry) {
      auto started = RegistrySocket::Start(options.registry_folder + "/" + options.socket_name,
                                           options.resource, socket_path);
      if (!started) return FailedToRegister(started.error().message);
      registry = std::move(*started);
    }
    if (registry->registered() && !registered_now) Registered("watcher");
    return kIdle;
  }

  void Registered(std::string_view way) {
    registered_now = true;
    failing_since.reset();
    backoff = kFirstRetry;
    LOG(kInfo, "registered with kubelet").Kv("resource", options.resource).Kv("way", way);
    MutexLock lock(mutex);
    status.registered = true;
    ++status.registrations;
    status.last_error.clear();
  }

  void SetRegistered(bool registered) {
    registered_now = registered;
    MutexLock lock(mutex);
    status.registered = registered;
  }

  Duration FailedToRegister(const std::string& why) {
    const MonoTime now = SystemClock().Mono();
    if (!failing_since) failing_since = now;
    {
      MutexLock lock(mutex);
      ++status.failures;
      if (status.last_error != why) {
        status.last_error = why;
        LOG(kWarn, "not registered with kubelet, retrying").Kv("error", why);
      }
    }
    if (options.way == RegistrationWay::kAuto && !options.registry_folder.empty() &&
        now - *failing_since >= options.watcher_after && KubeletListens()) {
      return UseRegistry();
    }
    return Backoff();
  }

  // A kubelet that is simply not there is waited for; the watcher's way is for one that refuses.
  bool KubeletListens() const { return IdentityOf(options.kubelet_socket).has_value(); }

  Duration Backoff() {
    const Duration now = backoff;
    backoff = std::min(backoff * 2, kLastRetry);
    return now;
  }

  bool Stopping() {
    MutexLock lock(mutex);
    return stop;
  }

  const EndpointOptions options;
  DevicePluginHandler& handler;
  const std::string socket_path;
  SocketWatch watch;

  // The endpoint's thread only.
  std::optional<SocketIdentity> known_kubelet;  // has our registration
  std::optional<SocketIdentity> seen_kubelet;   // was there at the last look
  std::unique_ptr<RegistrySocket> registry;
  std::optional<MonoTime> failing_since;
  Duration backoff = kFirstRetry;
  bool registered_now = false;

  Mutex mutex;
  std::unique_ptr<DevicePluginServer> server GUARDED_BY(mutex);
  std::optional<std::vector<PluginDevice>> devices GUARDED_BY(mutex);
  EndpointStatus status GUARDED_BY(mutex);
  bool stop GUARDED_BY(mutex) = false;
  std::thread thread;
};

ResourceEndpoint::ResourceEndpoint(EndpointOptions options, DevicePluginHandler& handler)
    : impl_(std::make_unique<Impl>(std::move(options), handler)) {
  impl_->thread = std::thread([this] { impl_->Run(); });
}

ResourceEndpoint::~ResourceEndpoint() {
  {
    MutexLock lock(impl_->mutex);
    impl_->stop = true;
  }
  impl_->watch.Wake();
  impl_->thread.join();
}

void ResourceEndpoint::Publish(std::vector<PluginDevice> devices) {
  MutexLock lock(impl_->mutex);
  if (impl_->devices == devices) return;
  impl_->devices = std::move(devices);
  if (impl_->server) impl_->server->Publish(*impl_->devices);
}

EndpointStatus ResourceEndpoint::status() const {
  MutexLock lock(impl_->mutex);
  EndpointStatus out = impl_->status;
  out.serving = impl_->server != nullptr;
  out.streams = impl_->server ? impl_->server->streams() : 0;
  return out;
}

}  // namespace hami::kubelet
