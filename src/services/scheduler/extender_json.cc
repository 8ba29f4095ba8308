#include "services/scheduler/extender_json.h"

#include "base/json.h"
#include "base/json_write.h"
#include "domain/protocol/objects.h"

namespace hami::scheduler {
namespace {

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) return false;
  }
  return true;
}

// The member with that key, letter case aside; null when absent or JSON null.
const Json* Member(const Json& root, std::string_view key) {
  const auto* object = root.if_object();
  if (object == nullptr) return nullptr;
  for (const auto& [name, value] : *object) {
    if (SameIgnoringCase(name, key)) return value.is_null() ? nullptr : &value;
  }
  return nullptr;
}

std::string Text(const Json& root, std::string_view key) {
  const Json* at = Member(root, key);
  return at != nullptr && at->is_string() ? std::string(at->get_string()) : "";
}

// An empty body is what Go's decoder calls EOF; kube-scheduler's logs are searched for it.
Result<Json> ParseBody(std::string_view body) {
  if (body.find_first_not_of(" \t\r\n") == std::string_view::npos) {
    return Fail(Code::kInvalidArgument, "EOF");
  }
  TRY_ASSIGN(auto root, ParseJson(body));
  if (!root.is_object()) return Fail(Code::kInvalidArgument, "body: expected a JSON object");
  return root;
}

}  // namespace

Result<FilterArgs> ParseFilterArgs(std::string_view body) {
  TRY_ASSIGN(auto root, ParseBody(body));
  const Json* pod = Member(root, "Pod");
  if (pod == nullptr) return Fail(Code::kInvalidArgument, "extender args missing pod");
  FilterArgs args;
  TRY_ASSIGN(args.pod, protocol::DecodePod(*pod));
  if (const Json* names = Member(root, "NodeNames"); names != nullptr && names->is_array()) {
    args.node_names.emplace();
    for (const Json& name : names->get_array()) {
      if (name.is_string()) args.node_names->emplace_back(name.get_string());
    }
  }
  const Json* nodes = Member(root, "Nodes");
  const Json* items = nodes == nullptr ? nullptr : Member(*nodes, "items");
  if (items != nullptr && items->is_array()) {
    args.nodes.emplace();
    for (const Json& item : items->get_array()) {
      std::string json = ToJson(item);
      TRY_ASSIGN(auto node, protocol::DecodeNode(json));
      args.nodes->push_back({std::move(node), std::move(json)});
    }
  }
  return args;
}

std::string WriteFilterAnswer(const FilterAnswer& answer) {
  JsonWriter w(JsonEscape::kGo);
  w.Object([&] {
    w.Key("Nodes");
    if (answer.node_objects) {
      w.Object([&] {
        w.Key("metadata").Object([] {}).Key("items").Array([&] {
          for (const auto& json : *answer.node_objects) w.Raw(json);
        });
      });
    } else {
      w.Null();
    }
    w.Key("NodeNames");
    if (answer.node_names) {
      w.Array([&] {
        for (const auto& name : *answer.node_names) w.String(name);
      });
    } else {
      w.Null();
    }
    w.Key("FailedNodes");
    if (answer.failed.empty()) {
      w.Null();
    } else {
      w.Object([&] {
        for (const auto& [node, reason] : answer.failed) w.Key(node).String(reason);
      });
    }
    w.Key("FailedAndUnresolvableNodes").Null().Key("Error").String(answer.error);
  });
  return w.Take();
}

Result<BindArgs> ParseBindArgs(std::string_view body) {
  TRY_ASSIGN(auto root, ParseBody(body));
  BindArgs args{.uid = Text(root, "PodUID"),
                .pod = {Text(root, "PodNamespace"), Text(root, "PodName")},
                .node = Text(root, "Node")};
  for (const auto& [key, value] :
       {std::pair<std::string_view, const std::string&>{"PodUID", args.uid},
        {"PodNamespace", args.pod.ns},
        {"PodName", args.pod.name},
        {"Node", args.node}}) {
    if (value.empty()) {
      return Fail(Code::kInvalidArgument, "bind: " + std::string(key) + " is missing or empty");
    }
  }
  return args;
}

std::string WriteBindAnswer(std::string_view error) {
  JsonWriter w(JsonEscape::kGo);
  w.Object([&] { w.Key("Error").String(error); });
  return w.Take();
}

}  // namespace hami::scheduler
