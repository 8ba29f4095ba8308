#include "services/cli/kube_scheduler.h"

#include <algorithm>
#include <charconv>

#include "base/quantity.h"

namespace hami::cli {
namespace {

constexpr std::string_view kTaint = "node(s) had untolerated taint";
constexpr std::string_view kAffinity = "node(s) didn't match Pod's node affinity/selector";

template <class F>
void ForEach(const Json& root, std::initializer_list<std::string_view> path, F&& on_item) {
  const Json* list = Find(root, path);
  if (list == nullptr || !list->is_array()) return;
  for (const Json& item : list->get_array()) on_item(item);
}

std::string Text(const Json& value) {
  return value.is_string() ? std::string(value.get_string()) : ToJson(value);
}

// Rounded up, as kube-scheduler counts; an amount that cannot be read is none.
int64_t Amount(std::string_view resource, std::string_view text) {
  bool milli = text.ends_with('m');
  auto quantity =
      ParseQuantity(milli && resource == "cpu" ? text.substr(0, text.size() - 1) : text);
  if (!quantity) return 0;
  if (resource != "cpu" || milli) return quantity->value;
  int64_t thousandths = 0;
  return __builtin_mul_overflow(quantity->value, 1000, &thousandths) ? INT64_MAX : thousandths;
}

Amounts ReadAmounts(const Json& root, std::initializer_list<std::string_view> path) {
  Amounts out;
  const Json* map = Find(root, path);
  if (map == nullptr || !map->is_object()) return out;
  for (const auto& [name, value] : map->get_object()) {
    out[std::string(name)] = Amount(name, Text(value));
  }
  return out;
}

void Add(Amounts& to, const Amounts& more) {
  for (const auto& [name, amount] : more) {
    int64_t& sum = to[name];
    if (__builtin_add_overflow(sum, amount, &sum)) sum = INT64_MAX;
  }
}

// A limit without a request is one: so the API server completes a Pod.
Amounts OwnRequests(const Json& container) {
  Amounts own = ReadAmounts(container, {"resources", "requests"});
  own.merge(ReadAmounts(container, {"resources", "limits"}));
  return own;
}

void RaiseTo(Amounts& to, const Amounts& floor) {
  for (const auto& [name, amount] : floor) to[name] = std::max(to[name], amount);
}

std::string AmountText(std::string_view resource, int64_t amount) {
  if (resource != "cpu") return std::to_string(amount);
  if (amount % 1000 == 0) return std::to_string(amount / 1000);
  return std::to_string(amount) + "m";
}

bool Tolerates(const Json& toleration, const Json& taint) {
  std::string_view effect = StringAt(toleration, {"effect"});
  if (!effect.empty() && effect != StringAt(taint, {"effect"})) return false;
  std::string_view key = StringAt(toleration, {"key"});
  bool exists = StringAt(toleration, {"operator"}) == "Exists";
  if (key.empty()) return exists;
  if (key != StringAt(taint, {"key"})) return false;
  return exists || StringAt(toleration, {"value"}) == StringAt(taint, {"value"});
}

bool Tolerated(const Json& pod, const Json& taint) {
  bool found = false;
  ForEach(pod, {"spec", "tolerations"},
          [&](const Json& toleration) { found = found || Tolerates(toleration, taint); });
  return found;
}

std::optional<Obstacle> Cordon(const Json& pod, const Json& node) {
  if (!BoolAt(node, {"spec", "unschedulable"}).value_or(false)) return std::nullopt;
  static const Json kMark = {{"key", "node.kubernetes.io/unschedulable"}, {"effect", "NoSchedule"}};
  if (Tolerated(pod, kMark)) return std::nullopt;
  return Obstacle{{"node(s) were unschedulable"}, "cordoned (spec.unschedulable)"};
}

std::optional<Obstacle> Taints(const Json& pod, const Json& node) {
  std::optional<Obstacle> found;
  ForEach(node, {"spec", "taints"}, [&](const Json& taint) {
    std::string_view effect = StringAt(taint, {"effect"});
    if (found || (effect != "NoSchedule" && effect != "NoExecute") || Tolerated(pod, taint)) return;
    std::string name(StringAt(taint, {"key"}));
    if (std::string_view value = StringAt(taint, {"value"}); !value.empty()) {
      name += "=" + std::string(value);
    }
    found = {{std::string(kTaint)},
             "taint " + name + ":" + std::string(effect) + " is not tolerated by the pod"};
  });
  return found;
}

// "the node has zone=b", "the node has no label zone".
std::string LabelText(const Json& node, std::string_view key) {
  const Json* label = Find(node, {"metadata", "labels", key});
  if (label == nullptr) return "the node has no label " + std::string(key);
  return "the node has " + std::string(key) + "=" + Text(*label);
}

std::optional<Obstacle> Selector(const Json& pod, const Json& node) {
  const Json* wanted = Find(pod, {"spec", "nodeSelector"});
  if (wanted == nullptr || !wanted->is_object()) return std::nullopt;
  for (const auto& [key, value] : wanted->get_object()) {
    const Json* label = Find(node, {"metadata", "labels", key});
    if (label != nullptr && *label == value) continue;
    return Obstacle{{std::string(kAffinity)},
                    "nodeSelector asks for " + std::string(key) + "=" + Text(value) + ", " +
                        LabelText(node, key)};
  }
  return std::nullopt;
}

bool Compare(std::string_view op, std::string_view there, std::string_view bound) {
  int64_t a = 0;
  int64_t b = 0;
  auto read = [](std::string_view text, int64_t& to) {
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), to);
    return error == std::errc() && end == text.data() + text.size();
  };
  if (!read(there, a) || !read(bound, b)) return false;
  return op == "Gt" ? a > b : a < b;
}

// One line of matchExpressions or matchFields; `there` is null when the node has no such key.
bool Matches(const Json& line, const Json* there) {
  std::string_view op = StringAt(line, {"operator"});
  if (op == "Exists") return there != nullptr;
  if (op == "DoesNotExist") return there == nullptr;
  bool listed = false;
  std::string first;
  ForEach(line, {"values"}, [&](const Json& value) {
    if (first.empty()) first = Text(value);
    listed = listed || (there != nullptr && *there == value);
  });
  if (op == "In") return listed;
  if (op == "NotIn") return !listed;
  return there != nullptr && Compare(op, Text(*there), first);
}

// "zone In [a, b]", with what the node has; "" when the whole term matches.
std::string TermMismatch(const Json& term, const Json& node) {
  std::string mismatch;
  bool any = false;
  auto test = [&](const Json& line, bool field) {
    any = true;
    std::string_view key = StringAt(line, {"key"});
    const Json* there =
        field ? Find(node, {"metadata", "name"}) : Find(node, {"metadata", "labels", key});
    if (!mismatch.empty() || Matches(line, there)) return;
    mismatch = std::string(key) + " " + std::string(StringAt(line, {"operator"}));
    std::string values;
    ForEach(line, {"values"},
            [&](const Json& v) { values += (values.empty() ? "" : ", ") + Text(v); });
    if (!values.empty()) mismatch += " [" + values + "]";
    if (!field) mismatch += ", " + LabelText(node, key);
  };
  ForEach(term, {"matchExpressions"}, [&](const Json& line) { test(line, false); });
  ForEach(term, {"matchFields"}, [&](const Json& line) { test(line, true); });
  return any ? mismatch : "an empty term, which matches no node";
}

std::optional<Obstacle> Affinity(const Json& pod, const Json& node) {
  bool required = false;
  bool matched = false;
  std::string first;
  ForEach(pod,
          {"spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
           "nodeSelectorTerms"},
          [&](const Json& term) {
            required = true;
            std::string mismatch = TermMismatch(term, node);
            matched = matched || mismatch.empty();
            if (first.empty()) first = std::move(mismatch);
          });
  if (!required || matched) return std::nullopt;
  return Obstacle{{std::string(kAffinity)}, "required node affinity asks for " + first};
}

std::optional<Obstacle> Resources(const Json& pod, const NodeFacts& node,
                                  std::span<const std::string> ignored) {
  Amounts there = ReadAmounts(node.object, {"status", "allocatable"});
  Obstacle out;
  auto add = [&](std::string word, const std::string& text) {
    out.words.push_back(std::move(word));
    out.text += (out.text.empty() ? "" : "; ") + text;
  };
  if (auto limit = there.find("pods"); limit != there.end() && node.pods >= limit->second) {
    add("Too many pods", "too many pods: " + std::to_string(node.pods) + " of " +
                             std::to_string(limit->second) + " run there");
  }
  for (const auto& [name, asked] : RequestsOf(pod)) {
    if (asked == 0 || std::ranges::find(ignored, name) != ignored.end()) continue;
    auto offer = there.find(name);
    auto taken = node.used.find(name);
    int64_t all = offer == there.end() ? 0 : offer->second;
    int64_t used = taken == node.used.end() ? 0 : taken->second;
    if (asked <= all - used) continue;
    std::string text = "Insufficient " + name + ": asks " + AmountText(name, asked);
    text += offer == there.end() ? ", the node has no such resource"
                                 : ", " + AmountText(name, std::max<int64_t>(0, all - used)) +
                                       " of " + AmountText(name, all) + " free";
    add("Insufficient " + name, text);
  }
  if (out.words.empty()) return std::nullopt;
  return out;
}

}  // namespace

Amounts RequestsOf(const Json& pod) {
  Amounts sidecars;
  Amounts largest_step;  // an init container together with the sidecars before it
  ForEach(pod, {"spec", "initContainers"}, [&](const Json& container) {
    Amounts own = OwnRequests(container);
    if (StringAt(container, {"restartPolicy"}) == "Always") {
      Add(sidecars, own);
      RaiseTo(largest_step, sidecars);
      return;
    }
    Add(own, sidecars);
    RaiseTo(largest_step, own);
  });
  Amounts total = sidecars;
  ForEach(pod, {"spec", "containers"},
          [&](const Json& container) { Add(total, OwnRequests(container)); });
  RaiseTo(total, largest_step);
  for (const auto& [name, amount] : ReadAmounts(pod, {"spec", "resources", "requests"})) {
    total[name] = amount;
  }
  Add(total, ReadAmounts(pod, {"spec", "overhead"}));
  return total;
}

void AddUser(NodeFacts& node, const Json& pod) {
  std::string_view phase = StringAt(pod, {"status", "phase"});
  if (phase == "Succeeded" || phase == "Failed") return;
  Add(node.used, RequestsOf(pod));
  ++node.pods;
}

std::optional<Obstacle> FirstObstacle(const Json& pod, const NodeFacts& node,
                                      std::span<const std::string> ignored) {
  for (auto* test : {Cordon, Taints, Selector, Affinity}) {
    if (auto obstacle = test(pod, node.object)) return obstacle;
  }
  return Resources(pod, node, ignored);
}

std::map<std::string, int64_t> ReasonsOf(std::string_view message) {
  constexpr std::string_view kHead = " nodes are available: ";
  std::map<std::string, int64_t> out;
  size_t head = message.find(kHead);
  if (head == std::string_view::npos) {
    if (!message.empty()) out[std::string(message)] = 1;
    return out;
  }
  std::string_view list = message.substr(head + kHead.size());
  list = list.substr(0, list.find(". "));
  if (list.ends_with('.')) list.remove_suffix(1);
  while (!list.empty()) {
    size_t comma = list.find(", ");
    std::string_view item = list.substr(0, comma);
    list.remove_prefix(comma == std::string_view::npos ? list.size() : comma + 2);
    int64_t count = 0;
    auto [end, error] = std::from_chars(item.data(), item.data() + item.size(), count);
    if (error != std::errc()) continue;  // the rest of a reason with a comma in it
    item.remove_prefix(static_cast<size_t>(end - item.data()));
    if (item.starts_with(' ')) item.remove_prefix(1);
    if (item.starts_with(kTaint)) item = kTaint;
    out[std::string(item)] += count;
  }
  return out;
}

bool NamesExtender(std::string_view message) {
  return message.starts_with("Post \"http") &&
         (message.find("/filter\": ") != std::string_view::npos ||
          message.find("/bind\": ") != std::string_view::npos);
}

std::string_view UnscheduledMessage(const Json& pod) {
  std::string_view message;
  ForEach(pod, {"status", "conditions"}, [&](const Json& condition) {
    if (StringAt(condition, {"type"}) != "PodScheduled") return;
    if (StringAt(condition, {"status"}) != "False") return;
    if (StringAt(condition, {"reason"}) == "SchedulingGated") return;
    message = StringAt(condition, {"message"});
  });
  return message;
}

}  // namespace hami::cli
