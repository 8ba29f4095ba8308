#include "platform/kube/objects.h"

#include "base/json_write.h"
#include "platform/net/http.h"

namespace hami::kube {
namespace {

using net::PercentEncode;

std::string Collection(std::string_view api, std::string_view ns, std::string_view resource) {
  std::string out(api);
  if (!ns.empty()) out += "/namespaces/" + PercentEncode(ns);
  out += '/';
  out += resource;
  return out;
}

void WriteChanges(JsonWriter& w, std::string_view key, const MetadataChanges& changes) {
  if (changes.empty()) return;
  w.Key(key).Object([&] {
    for (const auto& [name, value] : changes) {
      w.Key(name);
      value ? w.String(*value) : w.Null();
    }
  });
}

}  // namespace

std::string PodsPath(std::string_view ns) { return Collection("/api/v1", ns, "pods"); }
std::string PodPath(std::string_view ns, std::string_view name) {
  return PodsPath(ns) + "/" + PercentEncode(name);
}
std::string BindingPath(std::string_view ns, std::string_view pod) {
  return PodPath(ns, pod) + "/binding";
}
std::string NodesPath() { return "/api/v1/nodes"; }
std::string NodePath(std::string_view name) { return NodesPath() + "/" + PercentEncode(name); }
std::string LeasesPath(std::string_view ns) {
  return Collection("/apis/coordination.k8s.io/v1", ns, "leases");
}
std::string LeasePath(std::string_view ns, std::string_view name) {
  return LeasesPath(ns) + "/" + PercentEncode(name);
}
std::string EventsPath(std::string_view ns) { return Collection("/api/v1", ns, "events"); }
std::string EventPath(std::string_view ns, std::string_view name) {
  return EventsPath(ns) + "/" + PercentEncode(name);
}

std::string MetadataPatchBody(const MetadataPatch& patch) {
  JsonWriter w;
  w.Object([&] {
    w.Key("metadata").Object([&] {
      if (!patch.uid.empty()) w.Key("uid").String(patch.uid);
      if (!patch.resource_version.empty()) {
        w.Key("resourceVersion").String(patch.resource_version);
      }
      WriteChanges(w, "annotations", patch.annotations);
      WriteChanges(w, "labels", patch.labels);
    });
  });
  return w.Take();
}

std::string BindingBody(const BindingSpec& binding) {
  JsonWriter w;
  w.Object([&] {
    w.Key("apiVersion").String("v1").Key("kind").String("Binding");
    w.Key("metadata").Object([&] {
      w.Key("name").String(binding.pod).Key("namespace").String(binding.ns);
      if (!binding.pod_uid.empty()) w.Key("uid").String(binding.pod_uid);
      if (!binding.annotations.empty()) {
        w.Key("annotations").Object([&] {
          for (const auto& [key, value] : binding.annotations) w.Key(key).String(value);
        });
      }
    });
    w.Key("target").Object([&] {
      w.Key("apiVersion").String("v1").Key("kind").String("Node").Key("name").String(binding.node);
    });
  });
  return w.Take();
}

}  // namespace hami::kube
