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

// A node that is no candidate: `unreadable` is a Pod there whose share is unknown, "" for none.
NodeVerdict NoCandidate(const std::string& node, std::string unreadable) {
  NodeVerdict verdict;
  verdict.node = node;
  verdict.decisive = unreadable.empty() ? Reason::kNodeUnregistered : Reason::kNodeUsageUnavailable;
  verdict.unreadable = std::move(unreadable);
  return verdict;
}

// Each refused node with its reason's word.
void FillAnswer(const policy::Decision& decision, FilterAnswer& answer) {
  for (const NodeVerdict& refusal : decision.refusals) {
    answer.failed[refusal.node] = policy::FailedNodeText(refusal);
  }
}

}  // namespace

void Service::Impl::Filter(FilterArgs args, PodRequest request, net::Responder responder,
                           MonoTime arrived) {
  FilterAnswer answer;
  if (!policy::RequestsAnything(request)) {
    answer.node_names = args.node_names.value_or(std::vector<std::string>{});
  } else if (args.nodes && !args.node_names) {
    answer = Simulate(args, request);
  } else if (Obstacle why = WhyNot(); why.text.empty()) {
    answer = DecideLive(args, request);
  } else if (WorthWaiting(why)) {
    return Hold(
        [this, args = std::move(args), request = std::move(request), responder, arrived]() mutable {
          Filter(std::move(args), std::move(request), responder, arrived);
        });
  } else {
    answer.error = why.text;
  }
  stats.filter_seconds.Observe(
      std::chrono::duration<double>(state.clock().Mono() - arrived).count());
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
  std::vector<NodeVerdict> ruled_out;
  for (const auto& name : args.node_names.value_or(std::vector<std::string>{})) {
    if (const NodeState* node = Candidate(name)) {
      candidates.push_back(node);
    } else {
      ruled_out.push_back(NoCandidate(name, cluster->UnreadablePodOn(name)));
    }
  }
  policy::Decision decision = policy::Decide(candidates, request);
  for (auto& verdict : ruled_out) decision.refusals.push_back(std::move(verdict));
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
  std::vector<NodeState> states;
  for (const auto& object : *args.nodes) {
    vendor::NodeView view = vendor::ReadNode(object.node, options.devices);
    if (view.problems.empty() && !view.state.cards.empty()) {
      states.push_back(std::move(view.state));
    } else {
      answer.failed[object.node.name] = policy::ReasonText(Reason::kNodeUnregistered);
    }
  }
  std::vector<const NodeState*> candidates;
  for (const NodeState& node : states) candidates.push_back(&node);
  policy::Decision decision = policy::Decide(candidates, request);
  FillAnswer(decision, answer);
  answer.node_objects.emplace();
  for (const auto& object : *args.nodes) {
    if (decision.placement && object.node.name == decision.placement->node) {
      answer.node_objects->push_back(object.json);
    }
  }
  return answer;
}

const NodeState* Service::Impl::Candidate(const std::string& node) const {
  return cluster->SafeNode(node) ? ledger.FindNode(node) : nullptr;
}

void Service::Impl::NoLongerWaits(const std::string& uid) {
  refused.erase(uid);
  requeuer->Settled(uid);
}

void Service::Impl::Assume(const Pod& pod, const Placement& placement) {
  NoLongerWaits(pod.uid);
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
           OnExecutor(thread, alive,
                      [this, uid = pod.uid, answer = std::move(answer),
                       responder = std::move(responder)](Result<kube::Response> r) mutable {
                        if (!r) {
                          ledger.Release(uid);
                          answer = {.error = "annotate pod: " + r.error().message};
                        }
                        responder.Reply(Json200(WriteFilterAnswer(answer)));
                      }));
}

void Service::Impl::AdoptWaiting() {
  for (const auto& [uid, pod] : cluster->pods()) {
    if (!pod.unschedulable || !pod.node_name.empty() || pod.deleting) continue;
    if (!refused.contains(uid)) {
      auto request = policy::CompileRequest(pod, options.devices, options.policies);
      if (!request || !policy::RequestsAnything(*request)) continue;
      refused[uid] = std::move(*request);
    }
    requeuer->Inherited(uid, pod.creation_unix);
  }
  CapacityChangedEverywhere();
}

void Service::Impl::CapacityChangedEverywhere() {
  ledger.ForEachNode([this](const NodeState& node) { requeuer->CapacityChanged(node.name); });
}

bool Service::Impl::FitsNow(const std::string& uid, const std::string& node) {
  auto it = refused.find(uid);
  const NodeState* candidate = Candidate(node);
  return it != refused.end() && candidate != nullptr &&
         policy::FitNode(*candidate, it->second).placement.has_value();
}

void Service::Impl::Poke(const std::string& uid, uint64_t count) {
  const Pod* pod = cluster->FindPod(uid);
  if (pod == nullptr || !options.leader().leading) return;
  ++stats.pokes;
  LOG(kDebug, "waking a pod that would fit now").Kv("pod", pod->key.Text());
  LabelPod(pod->key, protocol::kRequeueLabel, std::to_string(count),
           [this, uid, creation = pod->creation_unix] {
             if (!refused.contains(uid)) return;
             requeuer->Inherited(uid, creation);
             CapacityChangedEverywhere();
           });
}

}  // namespace hami::scheduler
