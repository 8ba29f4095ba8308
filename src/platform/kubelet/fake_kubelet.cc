#include "platform/kubelet/fake_kubelet.h"

#include <grpcpp/grpcpp.h>
#include <unistd.h>

#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <thread>
#include <utility>

#include "kubelet/deviceplugin.grpc.pb.h"
#include "kubelet/podresources.grpc.pb.h"
#include "platform/kubelet/channel.h"

namespace hami::kubelet {
namespace {

constexpr Duration kPatience = std::chrono::seconds(60);

std::vector<PluginDevice> Decode(const v1beta1::ListAndWatchResponse& update) {
  std::vector<PluginDevice> devices;
  for (const v1beta1::Device& d : update.devices()) {
    PluginDevice device{.id = d.id(), .healthy = d.health() == "Healthy", .numa = std::nullopt};
    if (d.topology().nodes_size() > 0) {
      device.numa = static_cast<int>(d.topology().nodes(0).id());
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

ContainerResponse Decode(const v1beta1::ContainerAllocateResponse& in) {
  ContainerResponse out;
  out.envs = {in.envs().begin(), in.envs().end()};
  for (const auto& m : in.mounts()) {
    out.mounts.push_back({m.container_path(), m.host_path(), m.read_only()});
  }
  for (const auto& d : in.devices()) {
    out.devices.push_back({d.container_path(), d.host_path(), d.permissions()});
  }
  out.annotations = {in.annotations().begin(), in.annotations().end()};
  for (const auto& c : in.cdi_devices()) out.cdi_devices.push_back(c.name());
  return out;
}

}  // namespace

struct FakeKubelet::Impl {
  std::string folder;
  std::mutex mutex;
  std::condition_variable changed;
  std::map<std::string, Plugin> plugins;
  std::map<std::string, int> generation;  // of the newest registration per resource
  std::vector<std::shared_ptr<grpc::ClientContext>> streams;
  std::vector<std::thread> readers;
  std::vector<HeldDevices> held;
  int refuse = 0;
  int registrations = 0;

  std::string Path(const std::string& endpoint) const { return folder + "/" + endpoint; }

  // Kubelet's part inside Register: dial back, options, stream.
  grpc::Status Accept(const v1beta1::RegisterRequest& request) {
    std::shared_ptr stub = v1beta1::DevicePlugin::NewStub(UnixChannel(Path(request.endpoint())));
    grpc::ClientContext context;
    context.set_deadline(Deadline(std::chrono::seconds(10)));
    v1beta1::DevicePluginOptions options;
    const grpc::Status status = stub->GetDevicePluginOptions(&context, v1beta1::Empty(), &options);
    if (!status.ok()) return status;
    std::lock_guard lock(mutex);
    const int mine = ++generation[request.resource_name()];
    ++registrations;
    plugins[request.resource_name()] = {
        .resource = request.resource_name(),
        .endpoint = request.endpoint(),
        .preferred_in_register = request.options().get_preferred_allocation_available(),
        .preferred_in_options = options.get_preferred_allocation_available(),
        .devices = {},
        .lists = 0,
        .stream_open = true};
    auto stream_context = std::make_shared<grpc::ClientContext>();
    streams.push_back(stream_context);
    readers.emplace_back([this, stub, stream_context, mine, name = request.resource_name()] {
      Follow(*stub, *stream_context, name, mine);
    });
    changed.notify_all();
    return grpc::Status::OK;
  }

  void Follow(v1beta1::DevicePlugin::Stub& stub, grpc::ClientContext& context,
              const std::string& resource, int mine) {
    auto reader = stub.ListAndWatch(&context, v1beta1::Empty());
    v1beta1::ListAndWatchResponse update;
    while (reader->Read(&update)) {
      std::lock_guard lock(mutex);
      if (generation[resource] != mine) continue;
      plugins[resource].devices = Decode(update);
      ++plugins[resource].lists;
      changed.notify_all();
    }
    reader->Finish();
    std::lock_guard lock(mutex);
    if (generation[resource] == mine) plugins[resource].stream_open = false;
    changed.notify_all();
  }

  class RegistrationService final : public v1beta1::Registration::Service {
   public:
    explicit RegistrationService(Impl& impl) : impl_(impl) {}
    grpc::Status Register(grpc::ServerContext*, const v1beta1::RegisterRequest* request,
                          v1beta1::Empty*) override {
      {
        std::lock_guard lock(impl_.mutex);
        if (impl_.refuse > 0) {
          --impl_.refuse;
          return grpc::Status(grpc::StatusCode::UNKNOWN, "not now");
        }
      }
      return impl_.Accept(*request);
    }

   private:
    Impl& impl_;
  };

  class ListerService final : public v1::PodResourcesLister::Service {
   public:
    explicit ListerService(Impl& impl) : impl_(impl) {}
    grpc::Status List(grpc::ServerContext*, const v1::ListPodResourcesRequest*,
                      v1::ListPodResourcesResponse* reply) override {
      std::lock_guard lock(impl_.mutex);
      for (const HeldDevices& h : impl_.held) {
        v1::PodResources* pod = reply->add_pod_resources();
        pod->set_name(h.pod);
        pod->set_namespace_(h.ns);
        v1::ContainerResources* container = pod->add_containers();
        container->set_name(h.container);
        v1::ContainerDevices* devices = container->add_devices();
        devices->set_resource_name(h.resource);
        for (const std::string& id : h.ids) devices->add_device_ids(id);
      }
      return grpc::Status::OK;
    }

   private:
    Impl& impl_;
  };

  RegistrationService registration{*this};
  ListerService lister{*this};
  std::unique_ptr<grpc::Server> server;
  std::unique_ptr<grpc::Server> lister_server;
};

FakeKubelet::FakeKubelet(std::string folder) : impl_(std::make_shared<Impl>()) {
  impl_->folder = std::move(folder);
}

FakeKubelet::~FakeKubelet() { Stop(); }

void FakeKubelet::Start() {
  for (const auto& entry : std::filesystem::directory_iterator(impl_->folder)) {
    if (entry.is_socket()) std::filesystem::remove(entry.path());
  }
  grpc::ServerBuilder lister;
  lister.AddListeningPort("unix:" + pod_resources_socket(), grpc::InsecureServerCredentials());
  lister.RegisterService(&impl_->lister);
  impl_->lister_server = lister.BuildAndStart();
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + socket(), grpc::InsecureServerCredentials());
  builder.RegisterService(&impl_->registration);
  impl_->server = builder.BuildAndStart();
  CHECK(impl_->server && impl_->lister_server);
}

void FakeKubelet::Stop() {
  std::vector<std::thread> readers;
  {
    std::lock_guard lock(impl_->mutex);
    for (auto& context : impl_->streams) context->TryCancel();
  }
  for (auto* server : {&impl_->server, &impl_->lister_server}) {
    if (!*server) continue;
    (*server)->Shutdown(Deadline(std::chrono::seconds(1)));
    server->reset();
  }
  {
    std::lock_guard lock(impl_->mutex);
    for (auto& context : impl_->streams) context->TryCancel();
    readers.swap(impl_->readers);
  }
  for (std::thread& reader : readers) reader.join();
  impl_->streams.clear();
}

void FakeKubelet::RefuseRegistrations(int n) {
  std::lock_guard lock(impl_->mutex);
  impl_->refuse = n;
}

std::string FakeKubelet::socket() const { return impl_->Path("kubelet.sock"); }
std::string FakeKubelet::pod_resources_socket() const { return impl_->Path("pod-resources.sock"); }

void FakeKubelet::SetHeld(std::vector<HeldDevices> held) {
  std::lock_guard lock(impl_->mutex);
  impl_->held = std::move(held);
}

int FakeKubelet::registrations() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->registrations;
}

bool FakeKubelet::WaitFor(const std::string& resource,
                          const std::function<bool(const Plugin&)>& predicate) {
  std::unique_lock lock(impl_->mutex);
  return impl_->changed.wait_for(lock, kPatience, [&] {
    auto it = impl_->plugins.find(resource);
    return it != impl_->plugins.end() && predicate(it->second);
  });
}

namespace {

std::unique_ptr<v1beta1::DevicePlugin::Stub> Dial(const std::string& path) {
  return v1beta1::DevicePlugin::NewStub(UnixChannel(path));
}

Error FromStatus(const grpc::Status& status) {
  return Error{.code = Code::kInternal, .message = status.error_message()};
}

}  // namespace

Result<std::vector<ContainerResponse>> FakeKubelet::Allocate(
    const std::string& resource, const std::vector<DeviceIds>& containers) {
  std::string endpoint;
  {
    std::lock_guard lock(impl_->mutex);
    endpoint = impl_->plugins[resource].endpoint;
  }
  v1beta1::AllocateRequest request;
  for (const DeviceIds& ids : containers) {
    auto* container = request.add_container_requests();
    for (const std::string& id : ids) container->add_devices_ids(id);
  }
  grpc::ClientContext context;
  context.set_deadline(Deadline(kPatience));
  v1beta1::AllocateResponse reply;
  const grpc::Status status = Dial(impl_->Path(endpoint))->Allocate(&context, request, &reply);
  if (!status.ok()) return Fail(FromStatus(status));
  std::vector<ContainerResponse> out;
  for (const auto& c : reply.container_responses()) out.push_back(Decode(c));
  return out;
}

Result<std::vector<DeviceIds>> FakeKubelet::Prefer(
    const std::string& resource, const std::vector<PreferredRequest>& containers) {
  std::string endpoint;
  {
    std::lock_guard lock(impl_->mutex);
    endpoint = impl_->plugins[resource].endpoint;
  }
  v1beta1::PreferredAllocationRequest request;
  for (const PreferredRequest& c : containers) {
    auto* container = request.add_container_requests();
    for (const std::string& id : c.available) container->add_available_deviceids(id);
    for (const std::string& id : c.must_include) container->add_must_include_deviceids(id);
    container->set_allocation_size(c.size);
  }
  grpc::ClientContext context;
  context.set_deadline(Deadline(kPatience));
  v1beta1::PreferredAllocationResponse reply;
  const grpc::Status status =
      Dial(impl_->Path(endpoint))->GetPreferredAllocation(&context, request, &reply);
  if (!status.ok()) return Fail(FromStatus(status));
  std::vector<DeviceIds> out;
  for (const auto& c : reply.container_responses()) {
    out.emplace_back(c.deviceids().begin(), c.deviceids().end());
  }
  return out;
}

namespace {

class Extra final : public FakeKubelet::ExtraStream {
 public:
  explicit Extra(const std::string& path)
      : stub_(Dial(path)), reader_(stub_->ListAndWatch(&context_, v1beta1::Empty())) {}
  ~Extra() override {
    context_.TryCancel();
    reader_->Finish();
  }
  std::vector<PluginDevice> Next() override {
    v1beta1::ListAndWatchResponse update;
    if (!reader_->Read(&update)) return {};
    return Decode(update);
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1beta1::DevicePlugin::Stub> stub_;
  std::unique_ptr<grpc::ClientReader<v1beta1::ListAndWatchResponse>> reader_;
};

}  // namespace

std::unique_ptr<FakeKubelet::ExtraStream> FakeKubelet::OpenStream(const std::string& resource) {
  std::string endpoint;
  {
    std::lock_guard lock(impl_->mutex);
    endpoint = impl_->plugins[resource].endpoint;
  }
  return std::make_unique<Extra>(impl_->Path(endpoint));
}

}  // namespace hami::kubelet
