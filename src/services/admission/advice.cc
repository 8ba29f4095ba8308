#include "services/admission/advice.h"

#include <algorithm>
#include <set>
#include <span>
#include <string_view>

#include "base/edit_distance.h"
#include "domain/policy/compile.h"
#include "domain/protocol/names.h"
#include "domain/vendor/vendor.h"

namespace hami::admission {
namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kNodePolicies[] = {"binpack", "spread"};
constexpr std::string_view kCardPolicies[] = {"binpack", "spread", "mutex", "numa",
                                              "topology-aware"};
constexpr std::string_view kBooleans[] = {"true", "false", "True", "False", "TRUE", "FALSE",
                                          "t",    "f",     "T",    "F",     "1",    "0"};

// Annotations with a value of words; `several`: a list with commas.
struct Rule {
  std::string_view key;
  Words words;
  bool several;
  std::string_view expected;
};
constexpr Rule kRules[] = {
    {protocol::kNodePolicy, kNodePolicies, false, "binpack or spread"},
    {protocol::kCardPolicy, kCardPolicies, true,
     "binpack, spread, mutex, numa, topology-aware, or several with commas"},
    {protocol::kNumaBind, kBooleans, false, "true or false"},
};

constexpr std::string_view kUserKeys[] = {
    protocol::kNodePolicy,
    protocol::kCardPolicy,
    protocol::kScoringWeights,
    protocol::kNumaBind,
    protocol::kVgpuMode,
    protocol::kNvidiaKeys.use_type,
    protocol::kNvidiaKeys.nouse_type,
    protocol::kNvidiaKeys.use_uuid,
    protocol::kNvidiaKeys.nouse_uuid,
};

bool Contains(Words words, std::string_view word) {
  return std::ranges::find(words, word) != words.end();
}

std::string_view NameOf(std::string_view key) { return key.substr(key.find('/') + 1); }

// Which of `known` the name resembles within its domain; "" for none, or if it is one of them.
std::string_view Misspelt(std::string_view name, const std::vector<std::string_view>& known) {
  if (Contains(known, name) || name.find('/') == std::string_view::npos) return "";
  const std::string_view domain = name.substr(0, name.find('/') + 1);
  std::vector<std::string_view> names;
  for (std::string_view one : known) {
    if (one.starts_with(domain)) names.push_back(NameOf(one));
  }
  auto near = NearestName(NameOf(name), names);
  if (!near) return "";
  return *std::ranges::find_if(
      known, [&](auto one) { return one.starts_with(domain) && NameOf(one) == *near; });
}

// "" for a key that resembles none of ours; other programs have annotations in these domains, too.
std::string_view MeantBy(std::string_view key) {
  bool of_our_domains = std::ranges::any_of(kUserKeys, [&](std::string_view known) {
    return key.starts_with(known.substr(0, known.find('/') + 1));
  });
  if (!of_our_domains || Contains(kUserKeys, key) || protocol::IsSchedulerOwned(key)) return "";
  std::vector<std::string_view> names;
  for (std::string_view known : kUserKeys) names.push_back(NameOf(known));
  auto near = NearestName(NameOf(key), names);
  return near ? kUserKeys[std::ranges::find(names, *near) - names.begin()] : "";
}

}  // namespace

std::vector<std::string> AnnotationAdvice(const Pod& pod) {
  std::vector<std::string> out;
  for (const Rule& rule : kRules) {
    auto it = pod.annotations.find(rule.key);
    if (it == pod.annotations.end()) continue;
    std::vector<std::string> items;
    if (rule.several) {
      items = protocol::SplitList(it->second);
    } else {
      items.emplace_back(rule.key == protocol::kNumaBind ? it->second : protocol::Trim(it->second));
    }
    bool good = !items.empty() &&
                std::ranges::all_of(items, [&](const auto& i) { return Contains(rule.words, i); });
    if (good) continue;
    out.push_back("annotation " + std::string(rule.key) + " \"" + it->second + "\": expected " +
                  std::string(rule.expected) + "; anything else has no effect");
  }
  auto weights = pod.annotations.find(protocol::kScoringWeights);
  if (weights != pod.annotations.end()) {
    if (auto read = policy::ParseScoreWeights(weights->second); !read) {
      out.push_back(read.error().message + "; the pod waits until this is put right");
    }
  }
  for (const auto& [key, value] : pod.annotations) {
    std::string_view meant = MeantBy(key);
    if (meant.empty()) continue;
    out.push_back("annotation " + key + " has no effect: did you mean " + std::string(meant) + "?");
  }
  return out;
}

std::vector<std::string> ResourceAdvice(const Pod& pod, const protocol::DeviceConfig& config) {
  const std::vector<std::string> managed = vendor::ManagedResources(config);
  const std::vector<std::string_view> known(managed.begin(), managed.end());
  std::vector<std::string> out;
  for (const Container& container : pod.containers) {
    std::set<std::string> asked;
    for (const ResourceMap* map : {&container.limits, &container.requests}) {
      for (const auto& [name, quantity] : *map) asked.insert(name);
    }
    for (const std::string& name : asked) {
      std::string_view meant = Misspelt(name, known);
      if (meant.empty()) continue;
      out.push_back("container \"" + container.name + "\": " + name +
                    " is no resource of HAMi: did you mean " + std::string(meant) + "?");
    }
  }
  return out;
}

std::vector<std::string> DisabledControlAdvice(const Pod& pod, bool allowed) {
  std::vector<std::string> out;
  for (const Container& container : pod.containers) {
    if (!container.disables_control) continue;
    out.push_back(
        "container \"" + container.name + "\": " + std::string(protocol::kEnvDisableControl) +
        (allowed ? " switches its limits off: it can use whole cards, whatever it asks for"
                 : " has no effect: the administrator does not let containers switch "
                   "their limits off"));
  }
  return out;
}

}  // namespace hami::admission
