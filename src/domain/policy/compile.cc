#include "domain/policy/compile.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/printable.h"
#include "domain/protocol/names.h"
#include "domain/vendor/vendor.h"

namespace hami::policy {
namespace {

using protocol::SplitList;
using protocol::Trim;

std::vector<std::string> LowerAll(std::vector<std::string> items) {
  for (std::string& item : items) {
    std::ranges::transform(item, item.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  }
  return items;
}

CardSelector SelectorOf(const vendor::Vendor& vendor, const Pod& pod) {
  auto list = [&](std::string_view key) { return SplitList(pod.Annotation(key)); };
  CardSelector out{.use_types = LowerAll(list(vendor.keys.use_type)),
                   .nouse_types = LowerAll(list(vendor.keys.nouse_type)),
                   .use_uuids = list(vendor.keys.use_uuid),
                   .nouse_uuids = list(vendor.keys.nouse_uuid),
                   .modes = std::nullopt};
  auto mode = pod.annotations.find(vendor.mode_key);
  if (!vendor.mode_key.empty() && mode != pod.annotations.end()) out.modes = mode->second;
  return out;
}

// The annotation if it is there, even empty; else the scheduler's flag.
std::string_view Policy(const Pod& pod, std::string_view key, std::string_view otherwise) {
  auto it = pod.annotations.find(key);
  return it == pod.annotations.end() ? otherwise : std::string_view(it->second);
}

Result<std::optional<VendorRequest>> CompileVendor(const vendor::Vendor& vendor, const Pod& pod,
                                                   const protocol::DeviceConfig& config) {
  VendorRequest out;
  vendor::Settings settings = vendor.hooks.settings(config);
  bool any = false;
  for (const Container& container : pod.containers) {
    TRY_ASSIGN(ContainerRequest request, vendor::ParseRequest(vendor, settings, container));
    any = any || request.count > 0;
    out.containers.push_back(request);
  }
  if (!any) return std::optional<VendorRequest>();
  out.word = vendor.word;
  out.rules = vendor.rules;
  out.select = SelectorOf(vendor, pod);
  return std::optional(std::move(out));
}

// One "key=value" of the weights annotation.
Result<void> ParseWeight(std::string_view entry, std::optional<int64_t> (&values)[3]) {
  auto fail = [](std::string text) { return Fail(Code::kInvalidArgument, std::move(text)); };
  size_t equals = entry.find('=');
  if (equals == std::string_view::npos) return fail("expected key=value entries");
  std::string key(Trim(entry.substr(0, equals)));
  constexpr std::string_view kKeys[] = {"slot", "core", "memory"};
  auto known = std::ranges::find(kKeys, key);
  if (known == std::end(kKeys)) return fail("unknown weight \"" + key + "\"");
  auto& value = values[known - std::begin(kKeys)];
  if (value) return fail("duplicate \"" + key + "\" weight");
  std::string_view digits = Trim(entry.substr(equals + 1));
  int64_t number = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (ec != std::errc() || end != digits.data() + digits.size()) {
    return fail("\"" + key + "\" weight must be an integer");
  }
  if (number < 0) return fail("\"" + key + "\" weight must not be negative");
  value = number;
  return {};
}

Result<ScoreWeights> ParseWeights(std::string_view text) {
  if (std::ranges::count(text, ',') != 2) {
    return Fail(Code::kInvalidArgument, "expected slot, core, and memory weights");
  }
  std::optional<int64_t> values[3];
  for (int i = 0; i < 3; ++i) {
    size_t comma = std::min(text.find(','), text.size());
    TRY(ParseWeight(Trim(text.substr(0, comma)), values));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  ScoreWeights out{*values[0], *values[1], *values[2]};  // three keys, no duplicate: all are there
  if (out.slot == 0 && out.core == 0 && out.memory == 0) {
    return Fail(Code::kInvalidArgument, "at least one weight must be positive");
  }
  return out;
}

}  // namespace

NodePolicy ParseNodePolicy(std::string_view text) {
  return Trim(text) == "spread" ? NodePolicy::kSpread : NodePolicy::kBinpack;
}

CardPolicy ParseCardPolicy(std::string_view text, bool numa_bind) {
  std::vector<std::string> words = SplitList(text);
  auto has = [&](std::string_view word) { return std::ranges::find(words, word) != words.end(); };
  CardPolicy out{.order = {}, .mutex = has("mutex"), .topology = has("topology-aware")};
  bool chain = words.size() > 1 || has("numa");
  if (!chain) {
    if (has("mutex")) {
      out.order = {CardKey::kUsedLow, CardKey::kNumaHigh};
    } else if (has("binpack")) {
      out.order = numa_bind ? std::vector{CardKey::kNumaLow, CardKey::kScoreHigh}
                            : std::vector{CardKey::kScoreHigh, CardKey::kNumaHigh};
    } else {
      out.order = numa_bind ? std::vector{CardKey::kNumaHigh, CardKey::kScoreLow}
                            : std::vector{CardKey::kScoreLow, CardKey::kNumaHigh};
    }
    return out;
  }
  if (numa_bind) out.order.push_back(CardKey::kNumaHigh);
  bool sorted = false;
  for (const std::string& word : words) {
    bool known = word == "binpack" || word == "spread" || word == "numa";
    sorted = sorted || known;
    if (word == "binpack") out.order.push_back(CardKey::kScoreHigh);
    if (word == "spread") out.order.push_back(CardKey::kScoreLow);
    if (word == "numa") out.order.push_back(CardKey::kNumaHigh);
  }
  if (!sorted) out.order.push_back(CardKey::kScoreLow);
  return out;
}

Result<ScoreWeights> ParseScoreWeights(std::string_view text) {
  auto weights = ParseWeights(text);
  if (weights) return weights;
  Error error =
      std::move(weights).error().With("invalid " + std::string(protocol::kScoringWeights) +
                                      " annotation \"" + std::string(text) + "\"");
  error.message = Printable(error.message);
  return Fail(std::move(error));
}

bool RequestsAnything(const PodRequest& request) { return !request.vendors.empty(); }

Result<PodRequest> CompileRequest(const Pod& pod, const protocol::DeviceConfig& config,
                                  const PolicyDefaults& defaults) {
  PodRequest out;
  for (const vendor::Vendor* vendor : vendor::EnabledVendors(config)) {
    TRY_ASSIGN(auto asked, CompileVendor(*vendor, pod, config));
    if (asked) out.vendors.push_back(*std::move(asked));
  }
  if (out.vendors.empty()) return out;
  for (const Container& container : pod.containers) {
    out.kinds.push_back(container.kind);
    out.names.push_back(container.name);
  }
  out.numa_bind = protocol::ParseGoTrue(pod.Annotation(protocol::kNumaBind));
  out.node_policy = ParseNodePolicy(Policy(pod, protocol::kNodePolicy, defaults.node));
  out.card_policy =
      ParseCardPolicy(Policy(pod, protocol::kCardPolicy, defaults.card), out.numa_bind);
  auto weights = pod.annotations.find(protocol::kScoringWeights);
  if (weights != pod.annotations.end()) {
    TRY_ASSIGN(out.weights, ParseScoreWeights(weights->second));
  }
  return out;
}

}  // namespace hami::policy
