#include "platform/kubelet/registration.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <atomic>
#include <utility>

#include "base/log.h"
#include "kubelet/deviceplugin.grpc.pb.h"
#include "kubelet/pluginregistration.grpc.pb.h"
#include "platform/kubelet/channel.h"

namespace hami::kubelet {

Result<void> RegisterWithKubelet(const Registration& registration, Duration timeout) {
  auto stub = v1beta1::Registration::NewStub(UnixChannel(registration.kubelet_socket));
  v1beta1::RegisterRequest request;
  request.set_version("v1beta1");
  request.set_endpoint(registration.endpoint);
  request.set_resource_name(registration.resource);
  request.mutable_options()->set_get_preferred_allocation_available(
      registration.preferred_allocation);
  grpc::ClientContext context;
  context.set_deadline(Deadline(timeout));
  v1beta1::Empty reply;
  const grpc::Status status = stub->Register(&context, request, &reply);
  if (!status.ok()) {
    return Fail(Code::kUnavailable, "register " + registration.resource + " at " +
                                        registration.kubelet_socket + ": " +
                                        status.error_message());
  }
  return {};
}

namespace {

class RegistryService final : public pluginregistration::Registration::CallbackService {
 public:
  RegistryService(std::string resource, std::string endpoint)
      : resource_(std::move(resource)), endpoint_(std::move(endpoint)) {}

  grpc::ServerUnaryReactor* GetInfo(grpc::CallbackServerContext* context,
                                    const pluginregistration::InfoRequest*,
                                    pluginregistration::PluginInfo* out) override {
    out->set_type("DevicePlugin");
    out->set_name(resource_);
    out->set_endpoint(endpoint_);
    out->add_supported_versions("v1beta1");
    return Done(context);
  }

  grpc::ServerUnaryReactor* NotifyRegistrationStatus(
      grpc::CallbackServerContext* context, const pluginregistration::RegistrationStatus* status,
      pluginregistration::RegistrationStatusResponse*) override {
    registered_ = status->plugin_registered();
    if (!status->plugin_registered()) {
      LOG(kWarn, "kubelet refused the plugin")
          .Kv("resource", resource_)
          .Kv("error", status->error());
    }
    return Done(context);
  }

  bool registered() const { return registered_; }

 private:
  static grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  std::string resource_;
  std::string endpoint_;
  std::atomic<bool> registered_{false};
};

}  // namespace

struct RegistrySocket::Impl {
  Impl(std::string p, const std::string& resource, const std::string& endpoint)
      : path(std::move(p)), service(resource, endpoint) {}
  std::string path;
  RegistryService service;
  std::unique_ptr<grpc::Server> server;
};

Result<std::unique_ptr<RegistrySocket>> RegistrySocket::Start(const std::string& path,
                                                              const std::string& resource,
                                                              const std::string& endpoint) {
  auto impl = std::make_unique<Impl>(path, resource, endpoint);
  ::unlink(path.c_str());
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&impl->service);
  impl->server = builder.BuildAndStart();
  if (!impl->server) {
    return Fail(Code::kUnavailable,
                "serve plugin registration on " + path + ": the socket could not be made");
  }
  return std::unique_ptr<RegistrySocket>(new RegistrySocket(std::move(impl)));
}

RegistrySocket::RegistrySocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

RegistrySocket::~RegistrySocket() {
  impl_->server->Shutdown(Deadline(std::chrono::seconds(1)));
  ::unlink(impl_->path.c_str());
}

bool RegistrySocket::registered() const { return impl_->service.registered(); }

}  // namespace hami::kubelet
