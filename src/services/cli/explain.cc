#include "services/cli/explain.h"

#include <algorithm>
#include <optional>
#include <set>

#include "domain/policy/explain.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"
#include "domain/protocol/time_text.h"
#include "domain/vendor/vendor.h"

namespace hami::cli {
namespace {

bool NamesOurResources(const Container& container, const protocol::DeviceConfig& config) {
  return std::ranges::any_of(vendor::ManagedResources(config), [&](const std::string& name) {
    return container.limits.contains(name) || container.requests.contains(name);
  });
}

bool NamesOurResources(const Pod& pod, const protocol::DeviceConfig& config) {
  return std::ranges::any_of(pod.containers, [&](const Container& container) {
    return NamesOurResources(container, config);
  });
}

// "gpu: 0" names a resource and asks for no card; a wrong value is asked for all the same.
bool AsksForCards(const Pod& pod, const protocol::DeviceConfig& config) {
  auto seen = vendor::MutatePod(pod, config);
  return !seen || seen->uses_cards;
}

// Limits that do not hold, whatever the Pod asks for.
void AddSwitchedOff(const Pod& pod, const Cluster& cluster, Explanation& out) {
  const bool allowed = cluster.install.allow_disable_control;
  for (const Container& container : pod.containers) {
    if (!NamesOurResources(container, cluster.devices)) continue;
    const std::string who = "container " + container.name + ": ";
    if (container.disables_control) {
      out.findings.push_back(
          who + std::string(protocol::kEnvDisableControl) +
          (allowed ? " in its environment switches its limits off: it can use whole cards, "
                     "whatever it asks for"
                   : " has no effect: devicePlugin.allowDisableControl is false"));
    }
    if (container.disables_core_limit) {
      out.findings.push_back(who + std::string(protocol::kEnvCorePolicy) +
                             "=disable in its environment: its cores are not limited");
    }
  }
}

std::string_view Scheduler(const Pod& pod) {
  return pod.scheduler_name.empty() ? protocol::kDefaultScheduler : pod.scheduler_name;
}

// Why admission has not touched a Pod that it should have: the first cause that shows.
std::string MissedWebhook(const Pod& pod, std::string_view namespace_label,
                          const Install& install) {
  auto label = pod.labels.find(protocol::kWebhookLabel);
  if (label != pod.labels.end() && label->second == "ignore") {
    return "the pod carries the label hami.io/webhook: ignore, so admission skips it";
  }
  if (namespace_label == "ignore") {
    return "namespace " + pod.key.ns +
           " carries the label hami.io/webhook: ignore, so admission skips its pods";
  }
  if (install.webhook_known && !install.webhook_found) {
    return "no MutatingWebhookConfiguration has the webhook vgpu.hami.io: HAMi's chart is not "
           "installed, or was with scheduler.admissionWebhook.enabled=false";
  }
  if (install.webhook_known && !install.webhook_has_ca) {
    return "the webhook vgpu.hami.io has no caBundle: the chart's job admission-patch has not run";
  }
  if (install.webhook_known && install.webhook_failure_policy == "Ignore") {
    return "the webhook vgpu.hami.io was probably not reachable when the pod was created "
           "(failurePolicy is Ignore), or its selectors leave this namespace out";
  }
  return "the webhook vgpu.hami.io was not asked, or left the pod alone";
}

void AddAsks(const PodRequest& request, Explanation& out) {
  for (const VendorRequest& vendor : request.vendors) {
    for (size_t i = 0; i < vendor.containers.size(); ++i) {
      if (vendor.containers[i].count == 0) continue;
      out.asks.push_back(request.names[i] + ": " + policy::AskText(vendor.containers[i]));
    }
  }
}

// "main: ImagePullBackOff: ..." for each container that waits.
void AddWaiting(const Json& object, Explanation& out) {
  for (const char* list : {"initContainerStatuses", "containerStatuses"}) {
    const Json* statuses = Find(object, {"status", list});
    if (statuses == nullptr || !statuses->is_array()) continue;
    for (const Json& status : statuses->get_array()) {
      std::string_view reason = StringAt(status, {"state", "waiting", "reason"});
      if (reason.empty() || reason == "PodInitializing") continue;
      std::string text =
          "container " + std::string(StringAt(status, {"name"})) + " waits: " + std::string(reason);
      std::string_view message = StringAt(status, {"state", "waiting", "message"});
      if (!message.empty()) text += ": " + std::string(message);
      out.findings.push_back(std::move(text));
    }
  }
}

void AddGrants(const Pod& pod, const Cluster& cluster, Explanation& out) {
  auto shares = vendor::AllocatedShares(pod, cluster.devices);
  if (!shares) {
    out.findings.push_back("what it holds cannot be read: " + shares.error().message);
    return;
  }
  for (const auto& [word, containers] : *shares) {
    for (size_t i = 0; i < containers.size(); ++i) {
      std::string name =
          i < pod.containers.size() ? pod.containers[i].name : "#" + std::to_string(i);
      for (const DeviceShare& share : containers[i]) out.grants.push_back({name, share});
    }
  }
}

// One line for each card of its own that is not well.
void AddUnhealthy(const Cluster& cluster, Explanation& out) {
  std::set<std::string> named;
  for (const Grant& grant : out.grants) named.insert(grant.share.uuid);
  for (const NodePicture& node : cluster.nodes) {
    for (const auto& [word, set] : node.state.cards) {
      for (const Device& device : set.devices) {
        if (device.healthy || node.state.name != out.node || !named.contains(device.id)) continue;
        out.findings.push_back(
            "its card " + device.id +
            " is unhealthy: nothing new is placed there, and what runs may fail");
      }
    }
  }
}

std::string Since(std::optional<int64_t> unix_seconds) {
  if (!unix_seconds) return "an unknown time";
  return protocol::FormatRfc3339(WallTime(std::chrono::seconds(*unix_seconds)));
}

// A Pod that has its node.
void ExplainBound(const PodInput& input, const Pod& pod, const Cluster& cluster, Explanation& out) {
  using protocol::BindPhase;
  AddGrants(pod, cluster, out);
  out.over = pod.Finished();
  if (!out.over) AddUnhealthy(cluster, out);
  protocol::BindState bind = protocol::ReadBindState(pod);
  std::string_view status_reason = StringAt(input.object, {"status", "reason"});
  std::string_view status_message = StringAt(input.object, {"status", "message"});
  if (bind.node.empty()) {
    out.findings.push_back("it has a node but no cards were given out for it: scheduler " +
                           out.scheduler + " bound it, not hami-scheduler");
  } else if (bind.node != pod.node_name) {
    out.findings.push_back("its cards were given out on node " + bind.node + ", but it runs on " +
                           pod.node_name);
  }
  if (pod.phase == "Failed" || bind.phase == BindPhase::kFailed) {
    out.state = PodState::kFailed;
    out.findings.push_back(status_reason.empty()
                               ? "it failed"
                               : std::string(status_reason) + ": " + std::string(status_message));
  } else if (pod.Finished()) {
    out.state = PodState::kFinished;
    out.findings.emplace_back("it has finished; its cards are free again");
  } else if (bind.phase == BindPhase::kAllocating) {
    out.state = PodState::kAllocating;
    out.findings.push_back("bound at " + Since(bind.bind_unix) + "; the device plugin on node " +
                           pod.node_name + " has not handed out the cards yet");
    AddWaiting(input.object, out);
  } else if (pod.phase == "Running") {
    out.state = bind.node.empty() ? PodState::kFailed : PodState::kRunning;
    AddWaiting(input.object, out);
  } else {
    out.state = bind.node.empty() ? PodState::kFailed : PodState::kStarting;
    AddWaiting(input.object, out);
  }
  if (pod.deleting) {
    out.findings.emplace_back(
        "it is being deleted; its cards come free when its containers have ended");
  }
}

void ExplainNotMutated(const PodInput& input, const Pod& pod, const Cluster& cluster,
                       Explanation& out) {
  out.state = PodState::kNotMutated;
  out.findings.push_back("it asks for cards, but spec.schedulerName is still " + out.scheduler +
                         ": admission has not seen it, and no card will be chosen for it");
  out.findings.push_back(MissedWebhook(pod, input.namespace_webhook_label, cluster.install));
  out.findings.emplace_back("when that is put right, delete the pod and create it again");
}

// What kube-scheduler said when it last found no node.
struct LastWord {
  std::string message;
  std::optional<WallTime> when;
};

LastWord LastWordOf(const PodInput& input) {
  LastWord out{std::string(UnscheduledMessage(input.object)), std::nullopt};
  bool condition = !out.message.empty();
  for (const PodEvent& event : input.events) {  // oldest first
    if (event.reason != "FailedScheduling") continue;
    // The condition is the later of the two: it is written at every attempt, Events are folded.
    if (!condition) out.message = event.message;
    if (out.message == event.message) out.when = event.last;
  }
  return out;
}

// Puts kube-scheduler's own words first where they name other reasons than ours. True when some of
// those are not what its tests, made again on the present state, would say.
bool AddLastWord(const PodInput& input, const Cluster& cluster, Explanation& out) {
  LastWord last = LastWordOf(input);
  std::map<std::string, int64_t> now = KubeReasons(input.object, cluster);
  bool others = false;
  bool unexplained = false;
  for (const auto& [reason, count] : ReasonsOf(last.message)) {
    if (policy::IsFailedNodeText(reason)) continue;
    others = true;
    unexplained = unexplained || count > now[reason];
  }
  if (!others) return false;
  std::string text = "kube-scheduler said last";
  if (last.when) text += ", at " + protocol::FormatRfc3339(*last.when);
  if (NamesExtender(last.message)) {
    out.findings.push_back(
        "kube-scheduler got no answer from hami-scheduler beside it, which has "
        "ended or stands still: see the pods of hami-scheduler");
  }
  out.findings.push_back(text + ": " + last.message);
  return unexplained;
}

// A Pod without a node.
void ExplainPending(const PodInput& input, const Pod& pod, const Cluster& cluster,
                    Explanation& out) {
  const Install& install = cluster.install;
  if (Scheduler(pod) == protocol::kDefaultScheduler &&
      install.scheduler_name != protocol::kDefaultScheduler) {
    return ExplainNotMutated(input, pod, cluster, out);
  }
  if (Scheduler(pod) != install.scheduler_name) {
    out.state = PodState::kOtherScheduler;
    out.findings.push_back("it belongs to scheduler " + out.scheduler + "; HAMi's is " +
                           install.scheduler_name + ", which leaves it alone");
    return;
  }
  auto request = policy::CompileRequest(pod, cluster.devices, install.policies);
  if (!request) {
    out.state = PodState::kWrong;
    out.findings.push_back(request.error().message);
    return;
  }
  AddAsks(*request, out);
  if (pod.scheduling_gated) {
    out.state = PodState::kGated;
    out.findings.emplace_back("it waits for its scheduling gates (spec.schedulingGates)");
    return;
  }
  bool unexplained = AddLastWord(input, cluster, out);
  bool fits = false;
  if (cluster.nodes_known) {
    TryResult tried = TryNodes(input.object, cluster, *request);
    fits = tried.fits;
    out.nodes = std::move(tried.nodes);
    std::ranges::move(tried.findings, std::back_inserter(out.findings));
  }
  if (install.scheduler_known && install.scheduler_ready == 0) {
    out.state = PodState::kNoScheduler;
    out.findings.insert(out.findings.begin(),
                        install.scheduler_pods == 0
                            ? "no pod of hami-scheduler exists: nobody schedules it"
                            : "none of the " + std::to_string(install.scheduler_pods) +
                                  " pods of hami-scheduler is ready: nobody schedules it");
    return;
  }
  out.state = !cluster.nodes_known ? PodState::kUnknown
              : !fits              ? PodState::kUnschedulable
              : unexplained        ? PodState::kRefusedByKube
                                   : PodState::kWaiting;
}

}  // namespace

std::string_view PodStateText(PodState state) {
  switch (state) {
    case PodState::kNoCards:
      return "asks for no cards";
    case PodState::kNotMutated:
      return "not seen by admission";
    case PodState::kOtherScheduler:
      return "belongs to another scheduler";
    case PodState::kWrong:
      return "asks for what no node can give";
    case PodState::kGated:
      return "waits for its scheduling gates";
    case PodState::kNoScheduler:
      return "waits for hami-scheduler, which does not run";
    case PodState::kUnschedulable:
      return "pending: fits nowhere now";
    case PodState::kRefusedByKube:
      return "pending: kube-scheduler could not place it when it last tried";
    case PodState::kWaiting:
      return "pending: fits, waits for its turn";
    case PodState::kUnknown:
      return "pending: the nodes may not be looked at";
    case PodState::kAllocating:
      return "bound: waits for the device plugin";
    case PodState::kFailed:
      return "failed";
    case PodState::kStarting:
      return "has its cards, is starting";
    case PodState::kRunning:
      return "running";
    case PodState::kFinished:
      return "finished";
  }
  return "unknown";
}

bool IsFine(PodState state) {
  switch (state) {
    case PodState::kNoCards:
    case PodState::kGated:
    case PodState::kWaiting:
    case PodState::kAllocating:
    case PodState::kStarting:
    case PodState::kRunning:
    case PodState::kFinished:
      return true;
    case PodState::kNotMutated:
    case PodState::kOtherScheduler:
    case PodState::kWrong:
    case PodState::kNoScheduler:
    case PodState::kUnschedulable:
    case PodState::kRefusedByKube:
    case PodState::kUnknown:
    case PodState::kFailed:
      return false;
  }
  return false;
}

std::vector<PodEvent> DecodeEvents(const std::vector<Json>& items) {
  std::vector<PodEvent> events;
  for (const Json& item : items) {
    PodEvent event;
    event.type = StringAt(item, {"type"});
    event.reason = StringAt(item, {"reason"});
    event.message = StringAt(item, {"message"});
    event.source = StringAt(item, {"source", "component"});
    if (event.source.empty()) event.source = StringAt(item, {"reportingComponent"});
    event.count = IntAt(item, {"count"}).value_or(IntAt(item, {"series", "count"}).value_or(1));
    for (std::string_view time :
         {StringAt(item, {"series", "lastObservedTime"}), StringAt(item, {"lastTimestamp"}),
          StringAt(item, {"eventTime"}), StringAt(item, {"metadata", "creationTimestamp"})}) {
      if (auto when = protocol::ParseRfc3339(time)) {
        event.last = *when;
        break;
      }
    }
    events.push_back(std::move(event));
  }
  std::ranges::stable_sort(events, {}, &PodEvent::last);
  return events;
}

Result<Explanation> Explain(const PodInput& input, const Cluster& cluster) {
  TRY_ASSIGN(Pod pod, protocol::DecodePod(input.object));
  Explanation out;
  out.pod = pod.key;
  out.scheduler = Scheduler(pod);
  out.node = pod.node_name;
  out.events = input.events;
  out.notes = cluster.notes;
  if (!NamesOurResources(pod, cluster.devices)) {
    out.findings.emplace_back("none of its containers names a resource of HAMi");
    return out;
  }
  if (!AsksForCards(pod, cluster.devices)) {
    out.findings.emplace_back("its containers name resources of HAMi, but none asks for a card");
    return out;
  }
  if (!pod.node_name.empty()) {
    if (auto request = policy::CompileRequest(pod, cluster.devices, cluster.install.policies)) {
      AddAsks(*request, out);
    }
    ExplainBound(input, pod, cluster, out);
  } else {
    ExplainPending(input, pod, cluster, out);
  }
  if (!pod.Finished()) AddSwitchedOff(pod, cluster, out);
  return out;
}

}  // namespace hami::cli
