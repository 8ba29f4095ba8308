#include "services/node/kube_api.h"

#include <utility>

#include "base/mutex.h"
#include "platform/kube/events.h"
#include "platform/kube/objects.h"

namespace hami::node {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(10);
constexpr char kComponent[] = "hami-device-plugin";

// Answers come on the client's thread, maybe after the service has gone.
struct Gate {
  Mutex mutex;
  Executor* executor GUARDED_BY(mutex);

  void Post(Task task) {
    MutexLock lock(mutex);
    if (executor) executor->Post(std::move(task));
  }
};

class KubeApi final : public NodeApi {
 public:
  KubeApi(kube::Client& client, Executor& executor, std::string node)
      : client_(client),
        node_(std::move(node)),
        events_(client, kComponent, node_),
        gate_(std::make_shared<Gate>()) {
    gate_->executor = &executor;
  }
  ~KubeApi() override { Detach(); }

  void Detach() override {
    MutexLock lock(gate_->mutex);
    gate_->executor = nullptr;
  }

  void PatchPod(const PodKey& pod, std::string merge_patch, Done done) override {
    Call("PATCH", kube::PodPath(pod.ns, pod.name), std::move(merge_patch), std::move(done));
  }
  void GetPod(const PodKey& pod, Done done) override {
    Call("GET", kube::PodPath(pod.ns, pod.name), "", std::move(done));
  }
  void PatchNode(std::string merge_patch, Done done) override {
    Call("PATCH", kube::NodePath(node_) + "?fieldManager=" + kComponent, std::move(merge_patch),
         std::move(done));
  }
  void GetNode(Done done) override { Call("GET", kube::NodePath(node_), "", std::move(done)); }

  void EmitEvent(const EventTarget& about, bool warning, std::string_view reason,
                 std::string_view message) override {
    events_.Emit({.kind = about.kind,
                  .ns = about.ns,
                  .name = about.name,
                  .uid = about.uid,
                  .resource_version = ""},
                 warning ? kube::EventType::kWarning : kube::EventType::kNormal, reason, message);
  }

 private:
  void Call(std::string method, std::string path, std::string body, Done done) {
    kube::Request request{.method = std::move(method), .path = std::move(path)};
    request.body = std::move(body);
    if (request.method == "PATCH") request.content_type = kube::kMergePatch;
    request.timeout = kTimeout;
    request.lane = kube::Lane::kHigh;
    client_.Call(std::move(request),
                 [gate = gate_, done = std::move(done)](Result<kube::Response> answer) {
                   auto body_or = answer ? Result<std::string>(std::move(answer->body))
                                         : Result<std::string>(Fail(std::move(answer.error())));
                   gate->Post([done, result = std::move(body_or)] { done(result); });
                 });
  }

  kube::Client& client_;
  const std::string node_;
  kube::EventRecorder events_;
  std::shared_ptr<Gate> gate_;
};

}  // namespace

std::unique_ptr<NodeApi> MakeKubeApi(kube::Client& client, Executor& executor,
                                     std::string node_name) {
  return std::make_unique<KubeApi>(client, executor, std::move(node_name));
}

}  // namespace hami::node
