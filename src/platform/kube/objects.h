// Paths and bodies of API requests: the one home of how they are written. Values, no threads.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace hami::kube {

// Paths, names percent-encoded. `ns` "" in a collection: all namespaces.
std::string PodsPath(std::string_view ns = "");
std::string PodPath(std::string_view ns, std::string_view name);
std::string BindingPath(std::string_view ns, std::string_view pod);
std::string NodesPath();
std::string NodePath(std::string_view name);
std::string LeasesPath(std::string_view ns);
std::string LeasePath(std::string_view ns, std::string_view name);
std::string EventsPath(std::string_view ns);
std::string EventPath(std::string_view ns, std::string_view name);

// Absent value: the key is removed.
using MetadataChanges = std::map<std::string, std::optional<std::string>, std::less<>>;

// Body of a merge patch (content type kMergePatch).
struct MetadataPatch {
  MetadataChanges annotations;
  MetadataChanges labels;
  std::string resource_version;  // precondition; "": none
  std::string uid;  // precondition; "": none. Another uid answers kInvalidArgument (422)
};
std::string MetadataPatchBody(const MetadataPatch& patch);

// Body of a POST to BindingPath: the API server merges the annotations into the Pod in the
// transaction that sets the node name, and refuses when the Pod's uid is another (design.md
// decision 3).
struct BindingSpec {
  std::string ns;
  std::string pod;
  std::string pod_uid;  // "": no precondition
  std::string node;
  std::map<std::string, std::string, std::less<>> annotations;
};
std::string BindingBody(const BindingSpec& binding);

}  // namespace hami::kube
