#include "services/admission/review.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/base64.h"
#include "base/json.h"
#include "base/printable.h"
#include "domain/protocol/names.h"
#include "domain/protocol/objects.h"
#include "domain/vendor/vendor.h"
#include "services/admission/advice.h"
#include "services/admission/json_patch.h"

namespace hami::admission {
namespace {

namespace json = boost::json;

constexpr std::string_view kV1 = "admission.k8s.io/v1";
constexpr std::string_view kV1Beta1 = "admission.k8s.io/v1beta1";
constexpr std::string_view kNodesGroup = "system:nodes";  // every kubelet's

// What will be said, before it is written down.
struct Answer {
  Outcome outcome = Outcome::kAllowed;
  int code = 200;
  std::string message;
  std::string patch;  // JSON text, "" for none
  std::vector<std::string> warnings;
  bool uses_cards = false;
};

Answer Refusal(Outcome outcome, int code, std::string message) {
  Answer answer;
  answer.outcome = outcome;
  answer.code = code;
  answer.message = std::move(message);
  return answer;
}
Answer Deny(std::string message) { return Refusal(Outcome::kDenied, 403, std::move(message)); }
Answer Undecodable(int code, std::string message) {
  return Refusal(Outcome::kUndecodable, code, std::move(message));
}

bool IsAllowed(Outcome outcome) {
  return outcome == Outcome::kAllowed || outcome == Outcome::kMutated ||
         outcome == Outcome::kOtherScheduler;
}

// What a wide rule may send us beside Pods that are made or changed is let through.
bool IsOfPods(const Json& request) {
  std::string_view resource = StringAt(request, {"resource", "resource"});
  return resource.empty() || resource == "pods";
}
bool IsPodCreation(const Json& request) {
  std::string_view operation = StringAt(request, {"operation"});
  return (operation.empty() || operation == "CREATE") && IsOfPods(request) &&
         StringAt(request, {"subResource"}).empty();
}
// The Pod's status can be written with new annotations, too.
bool IsPodUpdate(const Json& request) {
  std::string_view part = StringAt(request, {"subResource"});
  return StringAt(request, {"operation"}) == "UPDATE" && IsOfPods(request) &&
         (part.empty() || part == "status");
}

bool BelongsToAnotherScheduler(const Pod& pod, const AdmissionConfig& config) {
  const std::string& name = pod.scheduler_name;
  if (name.empty()) return false;
  bool ours_to_take =
      name == protocol::kDefaultScheduler && config.force_overwrite_default_scheduler;
  bool already_ours = !config.scheduler_name.empty() && name == config.scheduler_name;
  return !ours_to_take && !already_ours;
}

const Container* FirstPrivileged(const Pod& pod) {
  for (const Container& container : pod.containers) {
    if (container.privileged) return &container;
  }
  return nullptr;
}

// Annotations (and the label of the same meaning) that only the scheduler and the plugins may
// write: a user's Pod that carries them would be taken for one that has its cards (spec/protocol.md
// 3).
std::vector<std::string> ForgedAnnotations(const Pod& pod) {
  std::vector<std::string> names;
  for (const auto& [name, value] : pod.annotations) {
    if (protocol::IsSchedulerOwned(name)) names.push_back(name);
  }
  return names;
}

void StripForged(const Pod& pod, const std::vector<std::string>& forged, JsonPatch& patch,
                 Answer& answer) {
  for (const std::string& name : forged) {
    patch.Remove({"metadata", "annotations", name});
    answer.warnings.push_back("annotation " + name +
                              " removed: only the scheduler and the device plugin may set it");
  }
  if (pod.labels.contains(protocol::kVgpuNode)) {
    patch.Remove({"metadata", "labels", std::string(protocol::kVgpuNode)});
    answer.warnings.push_back("label " + std::string(protocol::kVgpuNode) +
                              " removed: only the scheduler may set it");
  }
}

std::string Joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

void Append(std::vector<std::string> more, std::vector<std::string>& to) {
  std::ranges::move(more, std::back_inserter(to));
}

// "nvidia.com/gpu: 1 of container main": the first of our resources that the Pod names.
std::string AskedResource(const Pod& pod, const AdmissionConfig& config) {
  for (const std::string& name : vendor::ManagedResources(config.devices)) {
    for (const Container& container : pod.containers) {
      for (const ResourceMap* map : {&container.limits, &container.requests}) {
        if (auto it = map->find(name); it != map->end()) {
          return name + ": " + it->second + " of container " + container.name;
        }
      }
    }
  }
  return "a share of a card";
}

// Where Pod::containers[index] stands in the object: init containers come first there.
JsonPath ContainerPath(const Json& object, size_t index) {
  const Json* init = Find(object, {"spec", "initContainers"});
  size_t inits = init != nullptr && init->is_array() ? init->get_array().size() : 0;
  if (index < inits) return {"spec", "initContainers", std::to_string(index)};
  return {"spec", "containers", std::to_string(index - inits)};
}

Result<void> Apply(const Json& object, const vendor::Change& change, JsonPatch& patch) {
  using Kind = vendor::Change::Kind;
  if (change.kind == Kind::kSetRuntimeClass) {
    return patch.Set({"spec", "runtimeClassName"}, Json(change.value));
  }
  JsonPath path = ContainerPath(object, change.container);
  if (change.kind == Kind::kAddEnv) {
    path.emplace_back("env");
    return patch.Append(path, json::object{{"name", change.name}, {"value", change.value}});
  }
  path.emplace_back("resources");
  path.emplace_back(change.kind == Kind::kSetLimit ? "limits" : "requests");
  path.push_back(change.name);
  return patch.Set(path, Json(change.value));
}

// Steps 3 to 8: what the vendors say, privileges, our scheduler's name.
Answer Mutate(const Json& object, const Pod& pod, const AdmissionConfig& config, JsonPatch& patch,
              Answer answer) {
  auto mutation = vendor::MutatePod(pod, config.devices);
  if (!mutation) return Refusal(Outcome::kInvalid, 500, mutation.error().message);
  if (mutation->uses_cards) {
    const Container* privileged = FirstPrivileged(pod);
    if (privileged != nullptr && !config.allow_privileged) {
      return Deny(
          "container " + privileged->name + " is privileged; " + AskedResource(pod, config) +
          " cannot be limited beside a container that sees every card of its node: expected "
          "securityContext.privileged false");
    }
  }
  for (const vendor::Change& change : mutation->changes) {
    if (auto done = Apply(object, change, patch); !done) {
      return Undecodable(400, done.error().message);
    }
  }
  if (mutation->uses_cards && !config.scheduler_name.empty()) {
    if (auto done = patch.Set({"spec", "schedulerName"}, Json(config.scheduler_name)); !done) {
      return Undecodable(400, done.error().message);
    }
    if (!pod.node_name.empty()) {
      return Deny("pod has node assigned; spec.nodeName \"" + pod.node_name +
                  "\" goes around the scheduler that gives out cards: use nodeSelector or affinity "
                  "instead");
    }
  }
  answer.uses_cards = mutation->uses_cards;
  Append(std::move(mutation->warnings), answer.warnings);
  Append(ResourceAdvice(pod, config.devices), answer.warnings);
  if (answer.uses_cards) {
    Append(DisabledControlAdvice(pod, config.allow_disable_control), answer.warnings);
    Append(AnnotationAdvice(pod), answer.warnings);
  }
  return answer;
}

Answer Decide(const Json& object, const Pod& pod, const AdmissionConfig& config) {
  const Json* containers = Find(object, {"spec", "containers"});
  if (containers == nullptr || !containers->is_array() || containers->get_array().empty()) {
    return Deny("pod has no containers");
  }
  JsonPatch patch(object);
  Answer answer;
  std::vector<std::string> forged = ForgedAnnotations(pod);
  if (!forged.empty() && config.deny_forged_annotations) {
    return Deny("annotations that only the scheduler and the device plugin may set: " +
                Joined(forged) + "; expected a pod without them");
  }
  StripForged(pod, forged, patch, answer);
  if (BelongsToAnotherScheduler(pod, config)) {
    answer.outcome = Outcome::kOtherScheduler;
    answer.message = "pod already has different scheduler assigned";
  } else {
    answer = Mutate(object, pod, config, patch, std::move(answer));
  }
  if (!IsAllowed(answer.outcome) || patch.empty()) return answer;
  if (answer.outcome == Outcome::kAllowed) answer.outcome = Outcome::kMutated;
  answer.patch = patch.Text();
  return answer;
}

// The allocation annotations of a Pod as it came.
std::map<std::string, std::string> DecisionsOf(const Json& pod) {
  std::map<std::string, std::string> out;
  const Json* annotations = Find(pod, {"metadata", "annotations"});
  if (annotations == nullptr || !annotations->is_object()) return out;
  for (const auto& [name, value] : annotations->get_object()) {
    if (value.is_string() && protocol::IsSchedulerOwned(name)) {
      out.emplace(name, value.get_string());
    }
  }
  return out;
}

bool MayDecide(const Json& request, const AdmissionConfig& config) {
  const auto& writers = config.decision_writers;
  std::string_view user = StringAt(request, {"userInfo", "username"});
  if (writers.empty() || std::ranges::find(writers, user) != writers.end()) return true;
  const Json* groups = Find(request, {"userInfo", "groups"});
  return groups != nullptr && groups->is_array() &&
         std::ranges::find(groups->get_array(), Json(kNodesGroup)) != groups->get_array().end();
}

// A Pod's cards are what its annotations say, so nobody else may change them while it lives: a
// share made smaller would be promised again.
Answer DecideUpdate(const Json& request, const AdmissionConfig& config) {
  if (MayDecide(request, config)) return {};
  const Json* object = Find(request, {"object"});
  const Json* before = Find(request, {"oldObject"});
  if (object == nullptr || !object->is_object() || before == nullptr || !before->is_object()) {
    return Undecodable(400, "decode pod: request.object or request.oldObject is missing");
  }
  const auto had = DecisionsOf(*before);
  const auto has = DecisionsOf(*object);
  std::vector<std::string> changed;
  for (const auto& [name, value] : has) {
    auto it = had.find(name);
    if (it == had.end() || it->second != value) changed.push_back(name);
  }
  for (const auto& [name, value] : had) {
    if (!has.contains(name)) changed.push_back(name);
  }
  if (changed.empty()) return {};
  if (config.deny_forged_annotations) {
    return Deny("annotations that only the scheduler and the device plugin may change: " +
                Joined(changed) + "; expected them as they are");
  }
  JsonPatch patch(*object);
  Answer answer;
  for (const std::string& name : changed) {
    JsonPath path{"metadata", "annotations", name};
    auto it = had.find(name);
    if (it == had.end()) {
      patch.Remove(path);
    } else if (auto done = patch.Set(path, Json(it->second)); !done) {
      return Undecodable(400, done.error().message);
    }
    answer.warnings.push_back("annotation " + name + (it == had.end() ? " removed" : " restored") +
                              ": only the scheduler and the device plugin may change it");
  }
  answer.outcome = Outcome::kMutated;
  answer.patch = patch.Text();
  return answer;
}

ReviewResult Write(std::string_view api_version, std::string_view uid, const Answer& answer) {
  bool allowed = IsAllowed(answer.outcome);
  json::object status{{"code", answer.code}};
  if (!answer.message.empty()) status["message"] = answer.message;
  if (answer.outcome == Outcome::kDenied) status["reason"] = "Forbidden";
  json::object response{{"uid", uid}, {"allowed", allowed}, {"status", std::move(status)}};
  if (allowed && !answer.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = EncodeBase64(answer.patch);
  }
  if (!answer.warnings.empty()) {
    json::array warnings;
    for (const std::string& warning : answer.warnings) warnings.emplace_back(Printable(warning));
    response["warnings"] = std::move(warnings);
  }
  ReviewResult result;
  result.body = ToJson(json::object{
      {"kind", "AdmissionReview"}, {"apiVersion", api_version}, {"response", std::move(response)}});
  result.outcome = answer.outcome;
  result.uid = uid;
  result.message = answer.message;
  result.uses_cards = answer.uses_cards;
  return result;
}

std::string DisplayName(const Pod& pod, const Json& object) {
  if (!pod.key.name.empty()) return pod.key.Text();
  return pod.key.ns + "/" + std::string(StringAt(object, {"metadata", "generateName"})) + "*";
}

}  // namespace

std::string_view OutcomeText(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllowed:
      return "allowed";
    case Outcome::kMutated:
      return "mutated";
    case Outcome::kOtherScheduler:
      return "other_scheduler";
    case Outcome::kDenied:
      return "denied";
    case Outcome::kInvalid:
      return "invalid";
    case Outcome::kUndecodable:
      return "undecodable";
  }
  return "unknown";
}

ReviewResult Refuse(int code, std::string message) {
  return Write(kV1, "", Undecodable(code, std::move(message)));
}

ReviewResult Review(std::string_view body, const AdmissionConfig& config) {
  auto review = ParseJson(body);
  if (!review) return Refuse(400, "decode admission review: " + review.error().message);
  std::string_view version = StringAt(*review, {"apiVersion"});
  if (StringAt(*review, {"kind"}) != "AdmissionReview" || (version != kV1 && version != kV1Beta1)) {
    return Refuse(400, "decode admission review: expected kind AdmissionReview of " +
                           std::string(kV1) + " or " + std::string(kV1Beta1));
  }
  const Json* request = Find(*review, {"request"});
  if (request == nullptr || !request->is_object()) {
    return Write(version, "", Undecodable(400, "decode admission review: request is missing"));
  }
  std::string_view uid = StringAt(*request, {"uid"});
  if (IsPodUpdate(*request)) {
    ReviewResult result = Write(version, uid, DecideUpdate(*request, config));
    result.pod = std::string(StringAt(*request, {"namespace"})) + "/" +
                 std::string(StringAt(*request, {"name"}));
    return result;
  }
  if (!IsPodCreation(*request)) return Write(version, uid, Answer{});

  const Json* object = Find(*request, {"object"});
  if (object == nullptr || !object->is_object()) {
    return Write(version, uid, Undecodable(400, "decode pod: request.object is missing"));
  }
  auto pod = protocol::DecodePod(*object);
  if (!pod) {
    return Write(version, uid, Undecodable(400, "decode pod: " + pod.error().message));
  }
  // metadata.namespace may be empty on creation; the request's never is.
  if (auto ns = StringAt(*request, {"namespace"}); !ns.empty()) pod->key.ns = ns;
  ReviewResult result = Write(version, uid, Decide(*object, *pod, config));
  result.pod = DisplayName(*pod, *object);
  return result;
}

}  // namespace hami::admission
