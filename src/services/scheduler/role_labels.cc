#include "services/scheduler/role_labels.h"

#include "base/json.h"
#include "base/log.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"

namespace hami::scheduler {
namespace {

constexpr Duration kPeriod = std::chrono::seconds(15);
constexpr char kComponentSelector[] =
    "?labelSelector=app.kubernetes.io%2Fcomponent%3Dhami-scheduler";

}  // namespace

struct RoleLabels::Impl : std::enable_shared_from_this<RoleLabels::Impl> {
  Impl(kube::Client& client, Executor& on, RoleLabelOptions opts)
      : api(client), executor(on), options(std::move(opts)) {}

  void Look() {
    Arm();
    if (!options.leading()) return;
    api.Call({.path = kube::PodsPath(options.ns) + kComponentSelector},
             [self = shared_from_this()](Result<kube::Response> r) {
               if (self->stopped) return;
               if (r) return self->Compare(r->body);
               LOG(kWarn, "scheduler pods cannot be listed").Kv("error", r.error().message);
             });
  }

  void Compare(const std::string& body) {
    auto list = ParseJson(body);
    const Json* items = list ? Find(*list, {"items"}) : nullptr;
    if (items == nullptr || !items->is_array()) return;
    for (const Json& pod : items->get_array()) {
      std::string name(StringAt(pod, {"metadata", "name"}));
      std::string_view want = name == options.pod ? protocol::kRoleLeader : protocol::kRoleFollower;
      if (StringAt(pod, {"metadata", "labels", protocol::kSchedulerRole}) != want) {
        Label(name, std::string(want));
      }
    }
  }

  void Label(const std::string& pod, const std::string& role) {
    api.Call(
        {.method = "PATCH",
         .path = kube::PodPath(options.ns, pod),
         .body =
             kube::MetadataPatchBody({.labels = {{std::string(protocol::kSchedulerRole), role}}}),
         .content_type = kube::kMergePatch},
        [pod, role](Result<kube::Response> r) {
          if (r) {
            LOG(kInfo, "scheduler pod labelled").Kv("pod", pod).Kv("role", role);
          } else if (r.error().code != Code::kCancelled) {
            LOG(kWarn, "scheduler pod not labelled").Kv("pod", pod).Kv("error", r.error().message);
          }
        });
  }

  void Arm() {
    if (timer != 0) executor.Cancel(timer);
    timer = executor.PostAfter(kPeriod, [self = shared_from_this()] {
      if (!self->stopped) self->Look();
    });
  }

  kube::Client& api;
  Executor& executor;
  RoleLabelOptions options;
  Executor::TimerId timer = 0;
  bool stopped = false;
};

RoleLabels::RoleLabels(kube::Client& api, Executor& executor, RoleLabelOptions options)
    : impl_(std::make_shared<Impl>(api, executor, std::move(options))) {
  Refresh();
}

RoleLabels::~RoleLabels() {
  impl_->executor.Post([impl = impl_] {
    impl->stopped = true;
    if (impl->timer != 0) impl->executor.Cancel(impl->timer);
  });
}

void RoleLabels::Refresh() {
  impl_->executor.Post([impl = impl_] {
    if (!impl->stopped) impl->Look();
  });
}

}  // namespace hami::scheduler
