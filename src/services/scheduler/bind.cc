// /bind: a decision becomes a fact, under the node's lock.
#include <algorithm>

#include "base/log.h"
#include "domain/policy/fit.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"
#include "services/scheduler/service_impl.h"

namespace hami::scheduler {
namespace {

net::HttpResponse BindReply(std::string_view error) {
  return {.status = 200, .body = WriteBindAnswer(error)};
}

// Every container that got cards has been started: its Allocate is over, whatever the annotations
// say. A plugin that was killed between its answer and its writes leaves them behind
// (spec/scheduler.md 19.3).
bool CardsInUse(const Pod& pod, const protocol::DeviceConfig& config) {
  auto shares = vendor::AllocatedShares(pod, config);
  if (!shares || shares->empty()) return false;
  for (const auto& [word, containers] : *shares) {
    for (size_t i = 0; i < containers.size() && i < pod.containers.size(); ++i) {
      if (!containers[i].empty() && !pod.containers[i].started) return false;
    }
  }
  return true;
}

}  // namespace

void Service::Impl::Bind(BindArgs args, net::Responder responder, MonoTime arrived) {
  if (Obstacle why = WhyNot(); !why.text.empty()) {
    if (!WorthWaiting(why)) return responder.Reply(BindReply(why.text));
    return Hold([this, args = std::move(args), responder, arrived]() mutable {
      Bind(std::move(args), responder, arrived);
    });
  }
  const Pod* known = cluster->FindPod(args.pod);
  if (known != nullptr && known->uid != args.uid) {
    return responder.Reply(BindReply("pod " + args.pod.Text() + " has uid " + known->uid +
                                     ", the request names " + args.uid));
  }
  auto claim = EnsureClaim(args);
  if (!claim) {
    ++stats.bind_failed;
    record(PodOf(args.uid, args.pod), kube::EventType::kWarning, "BindingFailed",
           claim.error().message);
    return responder.Reply(BindReply(claim.error().message));
  }
  BindJob job{
      .uid = args.uid, .pod = args.pod, .node = args.node, .deadline = arrived + options.bind_wait};
  job.done = [this, job, responder, arrived](Result<void> result) {
    std::string error = result ? "" : result.error().message;
    BindDone(job, std::move(result), arrived);
    responder.Reply(BindReply(error));
  };
  bind_queue->Submit(std::move(job));
}

Pod Service::Impl::PodOf(const std::string& uid, const PodKey& key) const {
  if (const Pod* known = cluster->FindPod(uid)) return *known;
  Pod pod;
  pod.uid = uid;
  pod.key = key;
  return pod;
}

Result<void> Service::Impl::EnsureClaim(const BindArgs& args) {
  if (ledger.FindNode(args.node) == nullptr) {
    ledger.Release(args.uid);
    return Fail(Code::kNotFound, "node \"" + args.node + "\" not found among registered nodes");
  }
  const Claim* claim = ledger.Find(args.uid);
  if (claim != nullptr && claim->state == ClaimState::kBound) {
    return Fail(Code::kAlreadyExists, "pod " + args.pod.Text() + " is bound already");
  }
  if (claim != nullptr && claim->node == args.node) return {};
  ledger.Release(args.uid);
  const Pod* pod = cluster->FindPod(args.uid);
  if (pod == nullptr) {
    return Fail(Code::kNotFound, "pod " + args.pod.Text() + ": no decision is known for it");
  }
  TRY_ASSIGN(auto request, policy::CompileRequest(*pod, options.devices, options.policies));
  if (!cluster->SafeNode(args.node)) {
    return Fail(Code::kUnavailable, "node " + args.node + ": an allocation there cannot be read");
  }
  auto fit = policy::FitNode(*ledger.FindNode(args.node), request);
  if (!fit.placement) {
    return Fail(Code::kResourceExhausted,
                "pod " + args.pod.Text() + " does not fit on node " + args.node + " any more");
  }
  Assume(*pod, *fit.placement);
  return {};
}

Result<protocol::Annotations> Service::Impl::Prepare(const BindJob& job) {
  LeaderView leader = options.leader();
  if (!leader.leading || state.clock().Mono() >= leader.write_until) {
    return Fail(Code::kFailedPrecondition, "hami-scheduler not leader");
  }
  const Claim* claim = ledger.Find(job.uid);
  if (claim == nullptr || claim->node != job.node || claim->placement.shares.empty()) {
    TRY(EnsureClaim({job.uid, job.pod, job.node}));
    claim = ledger.Find(job.uid);
  }
  ledger.SetState(job.uid, ClaimState::kBinding);
  WallTime now = state.clock().Now();
  auto annotations = vendor::PlacementAnnotations(claim->placement, now);
  annotations.merge(protocol::BindingAnnotations(now));
  annotations[std::string(protocol::kSchedulerTerm)] = std::to_string(leader.term);
  annotations[std::string(protocol::kDecisionSeal)] = vendor::DecisionSeal(annotations);
  return annotations;
}

void Service::Impl::BindDone(const BindJob& job, Result<void> result, MonoTime started) {
  stats.bind_seconds.Observe(std::chrono::duration<double>(state.clock().Mono() - started).count());
  Pod pod = PodOf(job.uid, job.pod);
  if (result) {
    ++stats.bind_succeeded;
    ledger.SetState(job.uid, ClaimState::kBound);
    LOG(kInfo, "pod bound").Kv("pod", job.pod.Text()).Kv("node", job.node);
    LabelPod(job.pod, protocol::kVgpuNode, protocol::NodeLabelValue(job.node));
    record(pod, kube::EventType::kNormal, "BindingSucceed",
           "Successfully binding node [" + job.node + "] to " + job.pod.Text());
    return;
  }
  ++stats.bind_failed;
  LOG(kWarn, "bind failed")
      .Kv("pod", job.pod.Text())
      .Kv("node", job.node)
      .Kv("error", result.error().message);
  const Claim* claim = ledger.Find(job.uid);
  if (claim != nullptr && claim->state != ClaimState::kBound) {
    std::string freed = ledger.Release(job.uid);
    requeuer->CapacityChanged(freed);
  }
  record(pod, kube::EventType::kWarning, "BindingFailed", result.error().message);
}

HolderState Service::Impl::StateOf(const std::string& node, const protocol::NodeLock& lock) const {
  const Pod* pod = cluster->FindPod(lock.holder);
  if (pod == nullptr) return HolderState::kUnknown;
  if (!lock.holder_uid.empty() && pod->uid != lock.holder_uid) return HolderState::kOver;
  if (pod->Finished()) return HolderState::kOver;
  auto bind = protocol::ReadBindState(*pod);
  if (bind.phase == protocol::BindPhase::kSuccess || bind.phase == protocol::BindPhase::kFailed) {
    return HolderState::kOver;
  }
  if (!pod->node_name.empty()) {
    bool served = pod->node_name != node || CardsInUse(*pod, options.devices);
    return served ? HolderState::kOver : HolderState::kWaiting;
  }
  return bind_queue->Contains(pod->uid) ? HolderState::kMoved : HolderState::kUnbound;
}

void Service::Impl::LabelPod(const PodKey& pod, std::string_view key, const std::string& value,
                             Task failed) {
  api.Call({.method = "PATCH",
            .path = kube::PodPath(pod.ns, pod.name),
            .body = kube::MetadataPatchBody({.labels = {{std::string(key), value}}}),
            .content_type = kube::kMergePatch},
           OnExecutor(
               thread, alive,
               [pod, key = std::string(key), failed = std::move(failed)](Result<kube::Response> r) {
                 if (r || r.error().code == Code::kNotFound || r.error().code == Code::kCancelled) {
                   return;
                 }
                 LOG(kWarn, "pod label not written")
                     .Kv("pod", pod.Text())
                     .Kv("label", key)
                     .Kv("error", r.error().message);
                 if (failed) failed();
               }));
}

}  // namespace hami::scheduler
