#include "services/node/pod_shares.h"

#include "base/quantity.h"
#include "domain/protocol/allocation.h"

namespace hami::node {
namespace {

// Words of other vendors do not belong to the entry ("NVIDIA" beside "MLU" cannot happen in one
// annotation of ours, but a reader must not trip over it).
void KeepOwn(PodShares& shares, const std::string& word) {
  for (auto& entry : shares) {
    std::erase_if(entry, [&](const DeviceShare& s) { return s.vendor != word; });
    for (DeviceShare& s : entry) s.uuid = std::string(protocol::PhysicalUuid(s.uuid));
  }
}

std::vector<size_t> Filled(const PodShares& shares) {
  std::vector<size_t> out;
  for (size_t i = 0; i < shares.size(); ++i) {
    if (!shares[i].empty()) out.push_back(i);
  }
  return out;
}

bool HasDevices(std::string_view text) {
  auto shares = protocol::DecodeAllocation(text);
  if (!shares) return !text.empty();  // what cannot be read is not known to be served
  return protocol::FirstPending(*shares).has_value();
}

}  // namespace

std::vector<int> RequestedCounts(const Pod& pod, const std::string& resource) {
  std::vector<int> out;
  for (const Container& c : pod.containers) {
    int count = 0;
    for (const ResourceMap* map : {&c.limits, &c.requests}) {
      auto it = map->find(resource);
      if (it == map->end()) continue;
      auto value = ParseQuantity(it->second);
      if (value) count = static_cast<int>(value->value);
      break;
    }
    out.push_back(count);
  }
  return out;
}

Result<PodCards> ReadPodCards(const Pod& pod, const VendorWords& words) {
  const std::string& a_text = pod.Annotation(words.keys.to_allocate);
  const std::string& d_text = pod.Annotation(words.keys.allocated);
  if (a_text.empty()) return Fail(Code::kNotFound, "device request not found");
  PodCards out;
  TRY_ASSIGN(out.raw, protocol::DecodeAllocation(a_text));
  PodShares decided = out.raw;
  if (!d_text.empty()) {
    TRY_ASSIGN(decided, protocol::DecodeAllocation(d_text));
  }
  KeepOwn(decided, words.word);
  std::vector<bool> requests;
  for (int count : RequestedCounts(pod, words.resource)) requests.push_back(count > 0);
  out.shares = protocol::AlignToContainers(decided, requests);
  out.pending.assign(pod.containers.size(), false);
  out.raw_index.assign(pod.containers.size(), std::nullopt);
  // The n-th filled entry of D belongs to the n-th filled container; A has the same shape as D.
  const std::vector<size_t> written = Filled(decided);
  const std::vector<size_t> owners = Filled(out.shares);
  for (size_t n = 0; n < owners.size() && n < written.size(); ++n) {
    if (written[n] >= out.raw.size()) continue;
    out.raw_index[owners[n]] = written[n];
    out.pending[owners[n]] = !out.raw[written[n]].empty();
  }
  return out;
}

std::string ToAllocateAfter(const PodCards& cards, const std::vector<bool>& served) {
  PodShares left = cards.raw;
  for (size_t c = 0; c < served.size(); ++c) {
    if (served[c] && cards.raw_index[c]) left = protocol::WithoutEntry(left, *cards.raw_index[c]);
  }
  return protocol::EncodeAllocation(left);
}

bool NothingToAllocate(const Pod& pod, std::string_view own_key, std::string_view own) {
  for (const auto& [key, value] : pod.annotations) {
    if (key == own_key) continue;
    if (!key.ends_with("-devices-to-allocate") || !protocol::IsSchedulerOwned(key)) continue;
    if (HasDevices(value)) return false;
  }
  return !HasDevices(own);
}

}  // namespace hami::node
