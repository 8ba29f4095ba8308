// For tests: a small cluster as the API server would list it, and an API that serves it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "services/cli/cluster.h"

namespace hami::cli {

inline Json Tree(std::string_view text) { return ParseJson(text).value(); }

// A node with two cards of 24,000 MiB.
inline Json NodeJson(const std::string& name, const std::string& uuid_stem,
                     const std::string& allocatable = "20") {
  std::string cards =
      R"([{"id":")" + uuid_stem +
      R"(0","count":10,"devmem":24000,"devcore":100,"type":"NVIDIA L4",)" +
      R"("mode":"hami-core","health":true},{"id":")" + uuid_stem +
      R"(1","index":1,"count":10,"devmem":24000,"devcore":100,"type":"NVIDIA L4",)" +
      R"("mode":"hami-core","health":true}])";
  return boost::json::object{
      {"metadata",
       boost::json::object{
           {"name", name},
           {"annotations", boost::json::object{{"hami.io/node-nvidia-register", cards}}}}},
      {"status",
       boost::json::object{
           {"allocatable", boost::json::object{{"nvidia.com/gpu", allocatable}, {"cpu", "8"}}}}}};
}

// A Pod that asks for one card; `memory` in MiB.
inline Json PodJson(const std::string& name, const std::string& memory) {
  Json pod = Tree(R"({"metadata":{"namespace":"team-a","uid":"u-1","annotations":{},"labels":{}},
    "spec":{"schedulerName":"hami-scheduler","containers":[{"name":"main","resources":{
      "limits":{"nvidia.com/gpu":"1","nvidia.com/gpucores":"30"}}}]},"status":{"phase":"Pending"}})");
  auto& object = pod.as_object();
  object["metadata"].as_object()["name"] = name;
  object["spec"]
      .at("containers")
      .at(0)
      .at("resources")
      .at("limits")
      .as_object()["nvidia.com/gpumem"] = memory;
  return pod;
}

// The same, bound with a share of `uuid`.
inline Json BoundPodJson(const std::string& name, const std::string& memory,
                         const std::string& node, const std::string& uuid,
                         const std::string& phase = "success") {
  Json pod = PodJson(name, memory);
  auto& object = pod.as_object();
  object["spec"].as_object()["nodeName"] = node;
  object["status"].as_object()["phase"] = phase == "success" ? "Running" : "Pending";
  object["metadata"].as_object()["uid"] = "u-" + name;
  auto& annotations = object["metadata"].as_object()["annotations"].as_object();
  annotations["hami.io/vgpu-node"] = node;
  annotations["hami.io/bind-phase"] = phase;
  annotations["hami.io/bind-time"] = "1800000000";
  annotations["hami.io/vgpu-devices-allocated"] = uuid + ",NVIDIA," + memory + ",30:;";
  return pod;
}

inline Json SchedulerPodJson(bool ready) {
  Json pod = Tree(R"({"metadata":{"name":"hami-scheduler-1","namespace":"kube-system",
    "labels":{"app.kubernetes.io/component":"hami-scheduler"}},
    "spec":{"containers":[{"name":"kube-scheduler","command":["kube-scheduler"]},
      {"name":"vgpu-scheduler-extender","command":["scheduler","--scheduler-name=hami-scheduler",
       "--gpu-scheduler-policy","binpack"]}]},
    "status":{"conditions":[{"type":"Ready","status":"False"}]}})");
  if (ready) pod.at("status").at("conditions").at(0).as_object()["status"] = "True";
  return pod;
}

inline Json WebhookJson(const std::string& ca) {
  return boost::json::object{
      {"webhooks", boost::json::array{boost::json::object{
                       {"name", "vgpu.hami.io"},
                       {"failurePolicy", "Ignore"},
                       {"clientConfig", boost::json::object{{"caBundle", ca}}}}}}};
}

// Lists by path without query, objects by path; what is in `forbidden` answers so.
struct FakeApi {
  std::map<std::string, std::vector<Json>> lists;
  std::map<std::string, Json> objects;
  std::vector<std::string> forbidden;
  std::vector<std::string> asked;
  bool down = false;
  size_t page = 500;

  ApiCall call() {
    return [this](kube::Request request) { return Answer(request); };
  }

  // One L4 node "n1", a running scheduler, a webhook.
  static FakeApi Healthy() {
    FakeApi api;
    api.lists["/api/v1/nodes"] = {NodeJson("n1", "GPU-a")};
    api.lists["/api/v1/pods"] = {};
    api.lists["/api/v1/configmaps"] = {Tree(
        R"({"metadata":{"name":"hami-scheduler-device"},"data":{"device-config.yaml":"nvidia:\n  resourceCountName: nvidia.com/gpu\n"}})")};
    api.lists["/pods?scheduler"] = {SchedulerPodJson(true)};
    api.lists["/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"] = {
        WebhookJson("Q0E=")};
    api.lists["/api/v1/namespaces/team-a/events"] = {};
    api.objects["/api/v1/namespaces/team-a"] = Tree(R"({"metadata":{"name":"team-a"}})");
    return api;
  }

 private:
  Result<kube::Response> Answer(const kube::Request& request) {
    asked.push_back(request.path);
    if (down) return Fail(Code::kUnavailable, "connect 127.0.0.1:6443: connection refused");
    std::string path = request.path.substr(0, request.path.find('?'));
    for (const std::string& closed : forbidden) {
      if (path == closed) return Fail(Code::kPermissionDenied, path + " is forbidden");
    }
    if (auto it = objects.find(path); it != objects.end()) {
      return kube::Response{200, ToJson(it->second)};
    }
    if (path == "/api/v1/pods" && request.path.find("labelSelector") != std::string::npos) {
      path = "/pods?scheduler";
    }
    auto it = lists.find(path);
    if (it == lists.end()) return Fail(Code::kNotFound, path + " not found");
    return Page(it->second, request.path);
  }

  Result<kube::Response> Page(const std::vector<Json>& all, const std::string& path) const {
    size_t first = 0;
    if (size_t at = path.find("continue="); at != std::string::npos) {
      first = std::stoul(path.substr(at + 9));
    }
    size_t end = std::min(all.size(), first + page);
    boost::json::array items(all.begin() + static_cast<long>(first),
                             all.begin() + static_cast<long>(end));
    boost::json::object metadata;
    if (end < all.size()) metadata["continue"] = std::to_string(end);
    return kube::Response{200,
                          ToJson(boost::json::object{{"metadata", metadata}, {"items", items}})};
  }
};

}  // namespace hami::cli
