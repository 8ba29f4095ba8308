#include "domain/protocol/names.h"

#include <algorithm>
#include <array>
#include <cstdint>

namespace hami::protocol {
namespace {

// Written at schedule time beside the A and D keys (spec/protocol.md 2.3, 3).
constexpr std::string_view kOwned[] = {
    kVgpuNode,
    kVgpuTime,
    kBindPhase,
    kBindTime,
    kMigAllocations,
    kSchedulerTerm,
    kDecisionSeal,
    kAllocationSeq,
    "AWS_NEURON_IDS",
    "BAIDU_COM_DEVICE_IDX",
    "CAMBRICON_DSMLU_ASSIGNED",
    "CAMBRICON_DSMLU_PROFILE",
    "NEURON_ALLOCATED",
    "NEURON_ALLOC_TIME",
    "NEURON_RESOURCE_TYPE",
    "aws.amazon.com/predicate-node",
    "enflame.com/assigned-containers",
    "enflame.com/gcu-assigned",
    "enflame.com/gcu-assigned-id",
    "enflame.com/gcu-assigned-index",
    "enflame.com/gcu-assigned-minor",
    "enflame.com/gcu-assigned-time",
    "enflame.com/gcu-request-size",
    "hami.io/kunlun-allocated",
    "metax-tech.com/gpu-devices-allocated",
    "metax-tech.com/predicate-time",
    "mthreads.com/gpu-index",
    "mthreads.com/predicate-node",
    "mthreads.com/predicate-time",
    "predicate-time",
};

// Domains whose annotations some vendor or we ourselves read.
constexpr std::string_view kDomains[] = {
    "amd.com",       "aws.amazon.com", "baidu.com",     "birentech.com",
    "cambricon.com", "enflame.com",    "hami.io",       "huawei.com",
    "hygon.com",     "iluvatar.ai",    "kunlunxin.com", "metax-tech.com",
    "mthreads.ai",   "mthreads.com",   "nvidia.com",    "vastaitech.com",
};

}  // namespace

bool IsSchedulerOwned(std::string_view annotation) {
  if (std::ranges::find(kOwned, annotation) != std::end(kOwned)) return true;
  if (annotation.starts_with("hami.io/")) {
    return annotation.ends_with("-devices-to-allocate") ||
           annotation.ends_with("-devices-allocated");
  }
  // huawei.com/<chip word>; vnpu-mode is the user's.
  return annotation.starts_with("huawei.com/Ascend");
}

bool IsOfInterest(std::string_view annotation) {
  size_t slash = annotation.find('/');
  if (slash == std::string_view::npos) return true;
  std::string_view domain = annotation.substr(0, slash);
  return std::ranges::find(kDomains, domain) != std::end(kDomains);
}

std::string NodeLabelValue(std::string_view node_name) {
  if (node_name.size() <= 63) return std::string(node_name);
  uint32_t hash = 2166136261u;  // FNV-1a
  for (char c : node_name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  std::string out(node_name.substr(0, 54));
  out += '-';
  for (int shift = 28; shift >= 0; shift -= 4) out += "0123456789abcdef"[(hash >> shift) & 0xF];
  return out;
}

bool ParseGoTrue(std::string_view text) {
  constexpr std::string_view kTrue[] = {"1", "t", "T", "TRUE", "true", "True"};
  return std::ranges::find(kTrue, text) != std::end(kTrue);
}

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::vector<std::string> SplitList(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t comma = std::min(text.find(','), text.size());
    std::string_view item = Trim(text.substr(0, comma));
    if (!item.empty()) out.emplace_back(item);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return out;
}

}  // namespace hami::protocol
