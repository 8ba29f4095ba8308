// /filter: one Pod, many nodes, one decision.
#include <algorithm>

#include "base/log.h"
#include "domain/policy/explain.h"
#include "domain/policy/fit.h"
#include "domain/protocol/names.h"
#include "platform/kube/objects.h"
#include "services/scheduler/service_impl.h"

namespace hami::scheduler {
namespace {

net::HttpResponse Json200(std::string body) { return {.status = 200, .body = std::move(body)}; }

NodeVerdict Unregistered(const std::string& node) {
  NodeVerdict verdict;
  verdict.node = node;
  verdict.decisive = Reason::kNodeUnregistered;
  return verdict;
}

// Refused nodes are many and their texts few: reasons are counted for metrics by their text.
void FillAnswer(const policy::Decision& decision, FilterAnswer& answer) {
  for (const NodeVerdict& refusal : decision.refusals) {
    answer.failed[refusal.node] = policy::ReasonText(refusal.decisive);
  }
}

}  // namespace

void Service::Impl::Filter(FilterArgs args, PodRequest request, net::Responder responder) {
  MonoTime started = state.clock().Mono();
  FilterAnswer answer;
  if (!policy::RequestsAnything(request)) {
    answer.node_names = args.node_names.value_or(std::vector<std::string>{});
  } else if (args.nodes && !args.node_names) {
    answer = Simulate(args, request);
  } else if (std::string why = WhyNot(); !why.empty()) {
    answer.error = why;
  } else {
    answer = DecideLive(args, request);
  }
  stats.filter_seconds.Observe(state.clock().Mono() - started);
  bool placed = answer.error.empty() && ledger.Find(args.pod.uid) != nullptr;
  if (options.annotate_at_filter && placed) {
    return AnnotateThenReply(args.pod, std::move(answer), std::move(responder));
  }
  responder.Reply(Json200(WriteFilterAnswer(answer)));
}

FilterAnswer Service::Impl::DecideLive(const FilterArgs& args, const PodRequest& request) {
  const Pod& pod = args.pod;
  FilterAnswer answer;
  const Claim* before = ledger.Find(pod.uid);
  if (before != nullptr && before->state != ClaimState::kAssumed) {
    answer.error = "pod " + pod.key.Text() + " is being bound to node " + before->node;
    return answer;
  }
  ledger.Release(pod.uid);
  std::vector<const NodeState*> candidates;
  policy::Decision decision;
  std::vector<NodeVerdict> unregistered;
  for (const auto& name : args.node_names.value_or(std::vector<std::string>{})) {
    const NodeState* node = cluster->SafeNode(name) ? ledger.FindNode(name) : nullptr;
    if (node != nullptr) {
      candidates.push_back(node);
    } else {
      unregistered.push_back(Unregistered(name));
    }
  }
  decision = policy::Decide(candidates, request);
  for (auto& verdict : unregistered) decision.refusals.push_back(std::move(verdict));
  FillAnswer(decision, answer);
  if (!decision.placement) {
    stats.CountRefusal(decision.refusals);
    std::string text = policy::RefusalText(request, decision.refusals);
    LOG(kInfo, "pod fits nowhere").Kv("pod", pod.key.Text()).Kv("why", text);
    record(pod, kube::EventType::kWarning, "FilteringFailed", text);
    refused[pod.uid] = request;
    requeuer->Refused(pod.uid, pod.creation_unix);
    answer.node_names.emplace();
    return answer;
  }
  ++stats.filter_placed;
  Assume(pod, *decision.placement);
  LOG(kInfo, "pod placed").Kv("pod", pod.key.Text()).Kv("node", decision.placement->node);
  record(pod, kube::EventType::kNormal, "FilteringSucceed", policy::SuccessText(decision));
  answer.node_names = {decision.placement->node};
  return answer;
}

FilterAnswer Service::Impl::Simulate(const FilterArgs& args, const PodRequest& request) const {
  FilterAnswer answer;
  Ledger empty;
  Cluster picture(options.devices, {}, empty,
                  {.node_lock = [](const std::string&, const LockView&) {},
                   .node_gone = [](const std::string&) {},
                   .capacity_changed = [](const std::string&) {},
                   .pod_changed = [](const Pod&) {},
                   .pod_gone = [](const std::string&) {}});
  std::vector<const NodeState*> candidates;
  policy::Decision decision;
  for (const auto& object : *args.nodes) picture.node_observer().OnUpsert(object.json);
  for (const auto& object : *args.nodes) {
    const NodeState* node = empty.FindNode(object.node.name);
    if (node == nullptr) {
      answer.failed[object.node.name] = policy::ReasonText(Reason::kNodeUnregistered);
    } else {
      candidates.push_back(node);
    }
  }
  decision = policy::Decide(candidates, request);
  FillAnswer(decision, answer);
  answer.node_objects.emplace();
  for (const auto& object : *args.nodes) {
    if (decision.placement && object.node.name == decision.placement->node) {
      answer.node_objects->push_back(object.json);
    }
  }
  return answer;
}

void Service::Impl::Assume(const Pod& pod, const Placement& placement) {
  refused.erase(pod.uid);
  requeuer->Settled(pod.uid);
  Claim claim{.pod = pod.key, .node = placement.node, .state = ClaimState::kAssumed};
  claim.charge = policy::ChargeOf(pod, placement.shares);
  claim.placement = placement;
  claim.expires = state.clock().Mono() + options.assume_for;
  ledger.Put(pod.uid, std::move(claim));
}

// The reference's order, for third parties that read the decision before the bind.
void Service::Impl::AnnotateThenReply(const Pod& pod, FilterAnswer answer,
                                      net::Responder responder) {
  const Claim* claim = ledger.Find(pod.uid);
  auto annotations = vendor::PlacementAnnotations(claim->placement, state.clock().Now());
  kube::MetadataPatch patch{
      .labels = {{std::string(protocol::kVgpuNode), protocol::NodeLabelValue(claim->node)}},
      .uid = pod.uid};
  for (auto& [key, value] : annotations) patch.annotations[key] = std::move(value);
  api.Call({.method = "PATCH",
            .path = kube::PodPath(pod.key.ns, pod.key.name),
            .body = kube::MetadataPatchBody(patch),
            .content_type = kube::kMergePatch,
            .lane = kube::Lane::kHigh},
           [this, thread = thread, weak = std::weak_ptr<int>(alive), uid = pod.uid,
            answer = std::move(answer),
            responder = std::move(responder)](Result<kube::Response> r) mutable {
             thread->Post([this, weak, uid, answer = std::move(answer),
                           responder = std::move(responder), r = std::move(r)]() mutable {
               if (!weak.lock()) return;
               if (!r) {
                 ledger.Release(uid);
                 answer = {.error = "annotate pod: " + r.error().message};
               }
               responder.Reply(Json200(WriteFilterAnswer(answer)));
             });
           });
}

bool Service::Impl::FitsNow(const std::string& uid, const std::string& node) {
  auto it = refused.find(uid);
  const NodeState* state_of_node = cluster->SafeNode(node) ? ledger.FindNode(node) : nullptr;
  return it != refused.end() && state_of_node != nullptr &&
         policy::FitNode(*state_of_node, it->second).placement.has_value();
}

void Service::Impl::Poke(const std::string& uid, uint64_t count) {
  const Pod* pod = cluster->FindPod(uid);
  if (pod == nullptr || !options.leader().leading) return;
  ++stats.pokes;
  LOG(kDebug, "waking a pod that would fit now").Kv("pod", pod->key.Text());
  LabelPod(pod->key, protocol::kRequeueLabel, std::to_string(count));
}

}  // namespace hami::scheduler
