#include "services/scheduler/binding.h"

#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"
#include "platform/kube/objects.h"

namespace hami::scheduler {
namespace {

Result<LockView> ViewOf(Result<kube::Response> response) {
  if (!response) return Fail(std::move(response).error());
  TRY_ASSIGN(auto node, protocol::DecodeNode(response->body));
  return LockView{node.resource_version, protocol::ReadNodeLock(node)};
}

// Sets lock and owner, or with an empty lock clears both; only the version of the Node that was
// seen.
std::string LockPatch(const LockView& seen, const std::string& lock, const std::string& owner_uid) {
  auto value = [&](const std::string& text) {
    return lock.empty() ? std::nullopt : std::optional(text);
  };
  return kube::MetadataPatchBody(
      {.annotations = {{std::string(protocol::kMutexLock), value(lock)},
                       {std::string(protocol::kMutexOwnerUid), value(owner_uid)}},
       .resource_version = seen.resource_version});
}

}  // namespace

kube::Done OnExecutor(std::shared_ptr<Executor> executor, std::weak_ptr<int> alive,
                      std::function<void(Result<kube::Response>)> done) {
  return [executor = std::move(executor), alive = std::move(alive),
          done = std::move(done)](Result<kube::Response> response) {
    executor->Post([alive, done, response = std::move(response)]() mutable {
      if (alive.lock()) done(std::move(response));
    });
  };
}

ApiBindPort::ApiBindPort(kube::Client& api, std::shared_ptr<Executor> executor, BindPortHooks hooks)
    : api_(api), executor_(std::move(executor)), hooks_(std::move(hooks)) {}

void ApiBindPort::PatchNode(const std::string& node, std::string body, LockDone done) {
  api_.Call({.method = "PATCH",
             .path = kube::NodePath(node),
             .body = std::move(body),
             .content_type = kube::kMergePatch,
             .timeout = kBindingTimeout,
             .lane = kube::Lane::kHigh},
            Back([done](Result<kube::Response> r) { done(ViewOf(std::move(r))); }));
}

void ApiBindPort::TakeLock(const BindJob& job, const LockView& seen, LockDone done) {
  std::string lock = protocol::FormatNodeLock(executor_->clock().Now(), job.pod);
  PatchNode(job.node, LockPatch(seen, lock, job.uid), std::move(done));
}

void ApiBindPort::ReleaseLock(const std::string& node, const LockView& seen, LockDone done) {
  PatchNode(node, LockPatch(seen, "", ""), std::move(done));
}

void ApiBindPort::ReadLock(const std::string& node, LockDone done) {
  api_.Call({.path = kube::NodePath(node), .timeout = kBindingTimeout, .lane = kube::Lane::kHigh},
            Back([done](Result<kube::Response> r) { done(ViewOf(std::move(r))); }));
}

void ApiBindPort::PostBinding(const BindJob& job, std::function<void(Result<void>)> done) {
  auto annotations = hooks_.prepare(job);
  if (!annotations) {
    return executor_->Post([done, error = annotations.error()] { done(Fail(error)); });
  }
  api_.Call({.method = "POST",
             .path = kube::BindingPath(job.pod.ns, job.pod.name),
             .body = kube::BindingBody({.ns = job.pod.ns,
                                        .pod = job.pod.name,
                                        .pod_uid = job.uid,
                                        .node = job.node,
                                        .annotations = std::move(*annotations)}),
             .timeout = kBindingTimeout,
             .lane = kube::Lane::kHigh},
            Back([this, job, done](Result<kube::Response> r) {
              if (r) return done({});
              bool unclear =
                  r.error().code == Code::kDeadlineExceeded || r.error().code == Code::kUnavailable;
              if (unclear) return Settle(job, std::move(r).error(), done);
              done(Fail(std::move(r).error()));
            }));
}

void ApiBindPort::Settle(const BindJob& job, Error unclear,
                         std::function<void(Result<void>)> done) {
  api_.Call({.path = kube::PodPath(job.pod.ns, job.pod.name),
             .timeout = kBindingTimeout,
             .lane = kube::Lane::kHigh},
            Back([job, unclear, done](Result<kube::Response> r) {
              auto pod = r ? protocol::DecodePod(r->body) : Result<Pod>(Fail(unclear));
              bool bound = pod && pod->uid == job.uid && pod->node_name == job.node;
              if (bound) return done({});
              done(Fail(Error(unclear).With("bind " + job.pod.Text())));
            }));
}

}  // namespace hami::scheduler
