#include "platform/kubelet/device_plugin_server.h"

#include <grpcpp/grpcpp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <utility>

#include "base/mutex.h"
#include "kubelet/deviceplugin.grpc.pb.h"
#include "platform/kubelet/channel.h"

namespace hami::kubelet {
namespace {

using Update = v1beta1::ListAndWatchResponse;

grpc::Status ToStatus(const Error& error) {
  // Kubelet prints "rpc error: code = Unknown desc = <text>", as users know it from the reference.
  return grpc::Status(grpc::StatusCode::UNKNOWN, error.message);
}

Update Encode(const std::vector<PluginDevice>& devices) {
  Update update;
  for (const PluginDevice& d : devices) {
    v1beta1::Device* out = update.add_devices();
    out->set_id(d.id);
    out->set_health(d.healthy ? "Healthy" : "Unhealthy");
    if (d.numa) out->mutable_topology()->add_nodes()->set_id(*d.numa);
  }
  return update;
}

void Encode(const ContainerResponse& in, v1beta1::ContainerAllocateResponse* out) {
  for (const auto& [k, v] : in.envs) (*out->mutable_envs())[k] = v;
  for (const Mount& m : in.mounts) {
    v1beta1::Mount* mount = out->add_mounts();
    mount->set_container_path(m.container_path);
    mount->set_host_path(m.host_path);
    mount->set_read_only(m.read_only);
  }
  for (const DeviceNode& d : in.devices) {
    v1beta1::DeviceSpec* spec = out->add_devices();
    spec->set_container_path(d.container_path);
    spec->set_host_path(d.host_path);
    spec->set_permissions(d.permissions);
  }
  for (const auto& [k, v] : in.annotations) (*out->mutable_annotations())[k] = v;
  for (const std::string& name : in.cdi_devices) out->add_cdi_devices()->set_name(name);
}

class Stream;

// The newest device list and who wants it. gRPC never runs a reaction inside StartWrite or Finish,
// so both are called with the lock held.
struct Board {
  Mutex mutex;
  uint64_t version GUARDED_BY(mutex) = 0;  // 0: nothing published yet
  std::shared_ptr<const Update> newest GUARDED_BY(mutex);
  std::set<Stream*> streams GUARDED_BY(mutex);
  bool closed GUARDED_BY(mutex) = false;
};

// One ListAndWatch call; deletes itself when gRPC is done with it.
class Stream final : public grpc::ServerWriteReactor<Update> {
 public:
  explicit Stream(std::shared_ptr<Board> on) : board_(std::move(on)) {
    Board& board = *board_;
    MutexLock lock(board.mutex);
    board.streams.insert(this);
    if (board.closed) {
      End(board);
    } else {
      Poke(board);
    }
  }

  // Both with the board's mutex held.
  void Poke(const Board& board) HAMI_REQUIRES(board.mutex) {
    if (writing_ || finished_ || sent_ == board.version) return;
    writing_ = true;
    sent_ = board.version;
    in_flight_ = board.newest;
    StartWrite(in_flight_.get());
  }
  // While a write is in flight the end waits for its completion.
  void End([[maybe_unused]] const Board& board) HAMI_REQUIRES(board.mutex) {
    ending_ = true;
    if (writing_ || finished_) return;
    finished_ = true;
    Finish(grpc::Status::OK);
  }

 private:
  void OnWriteDone(bool ok) override {
    Board& board = *board_;
    MutexLock lock(board.mutex);
    writing_ = false;
    if (!ok || ending_) {
      End(board);
    } else {
      Poke(board);
    }
  }
  void OnCancel() override {
    Board& board = *board_;
    MutexLock lock(board.mutex);
    End(board);
  }
  void OnDone() override {
    {
      MutexLock lock(board_->mutex);
      board_->streams.erase(this);
    }
    delete this;
  }

  std::shared_ptr<Board> board_;
  std::shared_ptr<const Update> in_flight_;
  uint64_t sent_ = 0;
  bool writing_ = false;
  bool ending_ = false;
  bool finished_ = false;
};

class Service final : public v1beta1::DevicePlugin::CallbackService {
 public:
  Service(std::shared_ptr<Board> board, bool preferred, DevicePluginHandler& handler)
      : board_(std::move(board)), preferred_(preferred), handler_(handler) {}

  grpc::ServerUnaryReactor* GetDevicePluginOptions(grpc::CallbackServerContext* context,
                                                   const v1beta1::Empty*,
                                                   v1beta1::DevicePluginOptions* out) override {
    out->set_get_preferred_allocation_available(preferred_);
    return Done(context);
  }

  grpc::ServerWriteReactor<Update>* ListAndWatch(grpc::CallbackServerContext*,
                                                 const v1beta1::Empty*) override {
    return new Stream(board_);
  }

  grpc::ServerUnaryReactor* Allocate(grpc::CallbackServerContext* context,
                                     const v1beta1::AllocateRequest* request,
                                     v1beta1::AllocateResponse* response) override {
    std::vector<DeviceIds> containers;
    for (const auto& c : request->container_requests()) {
      containers.emplace_back(c.devices_ids().begin(), c.devices_ids().end());
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    handler_.Allocate(std::move(containers),
                      [reactor, response](Result<std::vector<ContainerResponse>> result) {
                        if (!result) return reactor->Finish(ToStatus(result.error()));
                        for (const ContainerResponse& c : *result) {
                          Encode(c, response->add_container_responses());
                        }
                        reactor->Finish(grpc::Status::OK);
                      });
    return reactor;
  }

  grpc::ServerUnaryReactor* GetPreferredAllocation(
      grpc::CallbackServerContext* context, const v1beta1::PreferredAllocationRequest* request,
      v1beta1::PreferredAllocationResponse* response) override {
    std::vector<PreferredRequest> containers;
    for (const auto& c : request->container_requests()) {
      containers.push_back(
          {.available = {c.available_deviceids().begin(), c.available_deviceids().end()},
           .must_include = {c.must_include_deviceids().begin(), c.must_include_deviceids().end()},
           .size = c.allocation_size()});
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    handler_.Prefer(std::move(containers),
                    [reactor, response](Result<std::vector<DeviceIds>> result) {
                      if (!result) return reactor->Finish(ToStatus(result.error()));
                      for (const DeviceIds& ids : *result) {
                        auto* out = response->add_container_responses();
                        for (const std::string& id : ids) out->add_deviceids(id);
                      }
                      reactor->Finish(grpc::Status::OK);
                    });
    return reactor;
  }

  grpc::ServerUnaryReactor* PreStartContainer(grpc::CallbackServerContext* context,
                                              const v1beta1::PreStartContainerRequest*,
                                              v1beta1::PreStartContainerResponse*) override {
    return Done(context);
  }

 private:
  static grpc::ServerUnaryReactor* Done(grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  std::shared_ptr<Board> board_;
  bool preferred_;
  DevicePluginHandler& handler_;
};

}  // namespace

struct DevicePluginServer::Impl {
  Impl(ServerOptions o, DevicePluginHandler& handler)
      : options(std::move(o)),
        board(std::make_shared<Board>()),
        service(board, options.preferred_allocation, handler) {}

  ServerOptions options;
  std::shared_ptr<Board> board;
  Service service;
  std::unique_ptr<grpc::Server> server;
  struct stat socket = {};
};

Result<std::unique_ptr<DevicePluginServer>> DevicePluginServer::Start(
    ServerOptions options, DevicePluginHandler& handler) {
  auto impl = std::make_unique<Impl>(std::move(options), handler);
  const std::string& path = impl->options.socket_path;
  ::unlink(path.c_str());
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, grpc::InsecureServerCredentials());
  builder.RegisterService(&impl->service);
  impl->server = builder.BuildAndStart();
  if (!impl->server || ::stat(path.c_str(), &impl->socket) != 0) {
    return Fail(Code::kUnavailable,
                "serve device plugin on " + path + ": the socket could not be made");
  }
  return std::unique_ptr<DevicePluginServer>(new DevicePluginServer(std::move(impl)));
}

DevicePluginServer::DevicePluginServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

DevicePluginServer::~DevicePluginServer() {
  {
    Board& board = *impl_->board;
    MutexLock lock(board.mutex);
    board.closed = true;
    for (Stream* stream : board.streams) stream->End(board);
  }
  const bool ours = SocketIntact();

  impl_->server->Shutdown(Deadline(impl_->options.drain));
  if (ours) ::unlink(impl_->options.socket_path.c_str());
}

void DevicePluginServer::Publish(const std::vector<PluginDevice>& devices) {
  auto update = std::make_shared<const Update>(Encode(devices));
  Board& board = *impl_->board;
  MutexLock lock(board.mutex);
  board.newest = std::move(update);
  ++board.version;
  for (Stream* stream : board.streams) stream->Poke(board);
}

int DevicePluginServer::streams() const {
  MutexLock lock(impl_->board->mutex);
  return static_cast<int>(impl_->board->streams.size());
}

bool DevicePluginServer::SocketIntact() const {
  struct stat now = {};
  return ::stat(impl_->options.socket_path.c_str(), &now) == 0 &&
         now.st_ino == impl_->socket.st_ino && now.st_dev == impl_->socket.st_dev;
}

}  // namespace hami::kubelet
