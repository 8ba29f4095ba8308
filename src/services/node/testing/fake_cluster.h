// FakeCluster: an API server for one node and its Pods, for tests of this folder. Test code only.
//
// Objects are JSON trees; merge patches are applied as RFC 7386 says, with uid and resourceVersion
// as preconditions. Answers come through the executor, as the real ones do. One thread.
#pragma once

#include <boost/json.hpp>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/executor.h"
#include "base/json.h"
#include "services/node/cluster_view.h"
#include "services/node/node_api.h"

namespace hami::node {

class FakeCluster final : public NodeApi {
 public:
  explicit FakeCluster(Executor& executor) : executor_(executor) {}

  // Tables that learn of every change at once, as by a watch; null while "the watch is cut".
  PodTable* pods = nullptr;
  NodeView* view = nullptr;
  // Errors that the next patches (of Pods, of the Node) answer with.
  std::deque<Code> pod_patch_errors, node_patch_errors;
  bool answer_patches = true;  // false: they get lost
  int pod_patches = 0, node_patches = 0, gets = 0;
  struct Event {
    std::string about, reason, message;
  };
  std::vector<Event> events;

  struct PodSpec {
    std::string name;
    std::string uid;
    std::vector<int> counts = {1};     // cards per container; 0 = none
    std::string shares;                // A and D
    std::string phase = "allocating";  // bind phase; "" = no decision at all
    int64_t created = 1'000;
    std::string scheduler = "hami-scheduler";
    std::string resource = "nvidia.com/gpu";
    bool disables_control = false;
  };
  void AddPod(const PodSpec& spec) {
    boost::json::object annotations;
    if (!spec.phase.empty()) {
      annotations = {{"hami.io/vgpu-node", "n1"},
                     {"hami.io/bind-phase", spec.phase},
                     {"hami.io/bind-time", "1000"},
                     {"hami.io/vgpu-devices-to-allocate", spec.shares},
                     {"hami.io/vgpu-devices-allocated", spec.shares}};
    }
    boost::json::array containers;
    for (size_t i = 0; i < spec.counts.size(); ++i) {
      boost::json::object limits;
      if (spec.counts[i] > 0) limits[spec.resource] = std::to_string(spec.counts[i]);
      boost::json::array env;
      if (spec.disables_control)
        env.push_back({{"name", "CUDA_DISABLE_CONTROL"}, {"value", "true"}});
      containers.push_back(
          {{"name", "c" + std::to_string(i)}, {"env", env}, {"resources", {{"limits", limits}}}});
    }
    Json pod = {
        {"metadata",
         {{"name", spec.name},
          {"namespace", "default"},
          {"uid", spec.uid},
          {"creationTimestamp",
           "1970-01-01T00:" + Two(spec.created / 60 % 60) + ":" + Two(spec.created % 60) + "Z"},
          {"annotations", annotations}}},
        {"spec",
         {{"nodeName", "n1"}, {"schedulerName", spec.scheduler}, {"containers", containers}}},
        {"status", {{"phase", "Pending"}}}};
    Store(pods_["default/" + spec.name] = std::move(pod));
  }
  void SetPhase(const std::string& name, const std::string& phase) {
    Json& pod = pods_.at("default/" + name);
    pod.as_object()["status"].as_object()["phase"] = phase;
    Store(pod);
  }
  void SetStarted(const std::string& name) {
    Json& pod = pods_.at("default/" + name);
    boost::json::array statuses;
    for (const Json& c : pod.at("spec").at("containers").as_array()) {
      statuses.push_back({{"name", c.at("name")},
                          {"started", true},
                          {"state", {{"running", boost::json::object{}}}}});
    }
    pod.as_object()["status"].as_object()["containerStatuses"] = statuses;
    Store(pod);
  }
  void Delete(const std::string& name) {
    auto it = pods_.find("default/" + name);
    if (pods) pods->OnDelete(ToJson(it->second));
    pods_.erase(it);
  }
  void SetNode(std::map<std::string, std::string> annotations) {
    boost::json::object map;
    for (auto& [k, v] : annotations) map[k] = v;
    node_ = {{"metadata", {{"name", "n1"}, {"uid", "node-uid"}, {"annotations", map}}},
             {"status", {{"allocatable", {{"cpu", "1"}}}}}};
    StoreNode();
  }
  std::string PodAnnotation(const std::string& name, std::string_view key) const {
    return std::string(StringAt(pods_.at("default/" + name), {"metadata", "annotations", key}));
  }
  bool NodeHas(std::string_view key) const {
    return Find(node_, {"metadata", "annotations", key}) != nullptr;
  }
  std::string NodeAnnotation(std::string_view key) const {
    return std::string(StringAt(node_, {"metadata", "annotations", key}));
  }
  // Everything that is there, as after a list.
  void Resync() {
    if (pods) {
      pods->OnListBegin();
      for (const auto& [key, pod] : pods_) pods->OnUpsert(ToJson(pod));
      pods->OnListEnd();
    }
    if (view) view->OnUpsert(ToJson(node_));
  }

  void PatchPod(const PodKey& pod, std::string merge_patch, Done done) override {
    ++pod_patches;
    if (!answer_patches) return;
    auto it = pods_.find(pod.Text());
    if (it == pods_.end()) return Answer(done, Fail(Code::kNotFound, "pods not found"));
    if (!pod_patch_errors.empty()) {
      const Code code = pod_patch_errors.front();
      pod_patch_errors.pop_front();
      return Answer(done, Fail(code, "injected"));
    }
    const Json patch = *ParseJson(merge_patch);
    const auto uid = StringAt(patch, {"metadata", "uid"});
    if (!uid.empty() && uid != StringAt(it->second, {"metadata", "uid"})) {
      return Answer(done, Fail(Code::kConflict, "uid precondition"));
    }
    Merge(it->second, patch);
    Store(it->second);
    Answer(done, ToJson(it->second));
  }
  void GetPod(const PodKey& pod, Done done) override {
    ++gets;
    auto it = pods_.find(pod.Text());
    if (it == pods_.end()) return Answer(done, Fail(Code::kNotFound, "pods not found"));
    Answer(done, ToJson(it->second));
  }
  void PatchNode(std::string merge_patch, Done done) override {
    ++node_patches;
    if (!answer_patches) return;
    if (!node_patch_errors.empty()) {
      const Code code = node_patch_errors.front();
      node_patch_errors.pop_front();
      return Answer(done, Fail(code, "injected"));
    }
    Json patch = *ParseJson(merge_patch);
    const auto version = StringAt(patch, {"metadata", "resourceVersion"});
    if (!version.empty() && version != StringAt(node_, {"metadata", "resourceVersion"})) {
      return Answer(done, Fail(Code::kConflict, "resourceVersion precondition"));
    }
    Merge(node_, patch);
    StoreNode();
    Answer(done, ToJson(node_));
  }
  void GetNode(Done done) override {
    ++gets;
    Answer(done, ToJson(node_));
  }
  void EmitEvent(const EventTarget& about, bool, std::string_view reason,
                 std::string_view message) override {
    events.push_back({about.name, std::string(reason), std::string(message)});
  }
  void Detach() override {}

 private:
  static std::string Two(int64_t n) { return (n < 10 ? "0" : "") + std::to_string(n); }
  static void Merge(Json& target, const Json& patch) {
    if (!patch.is_object()) {
      target = patch;
      return;
    }
    if (!target.is_object()) target = boost::json::object{};
    for (const auto& [key, value] : patch.as_object()) {
      if (value.is_null()) {
        target.as_object().erase(key);
      } else {
        Merge(target.as_object()[key], value);
      }
    }
  }
  void Store(Json& pod) {
    pod.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(++version_);
    if (pods) pods->OnUpsert(ToJson(pod));
  }
  void StoreNode() {
    node_.as_object()["metadata"].as_object()["resourceVersion"] = std::to_string(++version_);
    if (view) view->OnUpsert(ToJson(node_));
  }
  void Answer(const Done& done, Result<std::string> result) {
    executor_.Post([done, result = std::move(result)] { done(result); });
  }

  Executor& executor_;
  std::map<std::string, Json> pods_;
  Json node_;
  int version_ = 100;
};

}  // namespace hami::node
