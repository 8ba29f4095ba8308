#include <algorithm>

#include "base/quantity.h"
#include "domain/protocol/allocation.h"
#include "domain/protocol/register_annotation.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {
namespace {

// Which containers ask for the vendor at all; values are not judged here.
std::vector<bool> Requesting(const Settings& settings, const Pod& pod) {
  std::vector<bool> out;
  for (const Container& container : pod.containers) {
    auto names = [&](const ResourceMap& map) {
      auto it = map.find(settings.count);
      return it != map.end() && it->second != "0";
    };
    out.push_back(names(container.limits) || names(container.requests));
  }
  return out;
}

bool HoldsNothing(const PodShares& entries) {
  return std::ranges::all_of(entries, [](const auto& entry) { return entry.empty(); });
}

Result<SharesByVendor> ReadShares(const Pod& pod, const DeviceConfig& config,
                                  std::string_view protocol::VendorKeys::*key) {
  SharesByVendor out;
  for (const Vendor& vendor : AllVendors()) {
    std::string_view name = vendor.keys.*key;
    const std::string& text = pod.Annotation(name);
    if (name.empty() || text.empty()) continue;
    auto entries = protocol::DecodeAllocation(text);
    if (!entries) {
      return Fail(std::move(entries).error().With("annotation " + std::string(name)));
    }
    // Plugins empty A step by step; a D without a share was never written by a scheduler.
    if (key == &protocol::VendorKeys::allocated && HoldsNothing(*entries)) {
      return Fail(Code::kInvalidArgument, "annotation " + std::string(name) +
                                              ": expected at least one share, got \"" +
                                              text.substr(0, 200) + "\"");
    }
    out.emplace(vendor.word,
                protocol::AlignToContainers(*std::move(entries),
                                            Requesting(vendor.hooks.settings(config), pod)));
  }
  return out;
}

}  // namespace

bool IsServed(const Settings& settings, const Node& node) {
  auto it = node.allocatable.find(settings.count);
  if (it == node.allocatable.end()) return false;
  auto quantity = ParseQuantity(it->second);
  return quantity && quantity->value > 0;
}

Result<CardSet> NodeCards(const Vendor& vendor, const Settings& settings, const Node& node) {
  const std::string& text = node.Annotation(vendor.keys.register_key);
  std::string where = "node " + node.name + ": annotation " + std::string(vendor.keys.register_key);
  if (text.empty()) return Fail(Code::kNotFound, where + " is absent");
  auto devices = protocol::DecodeRegister(text);
  if (!devices) return Fail(std::move(devices).error().With(where));
  CardSet out;
  out.devices = *std::move(devices);
  out.usage.resize(out.devices.size());
  bool served = IsServed(settings, node);
  for (Device& device : out.devices) {
    device.vendor = vendor.word;
    device.healthy = device.healthy && served;
  }
  const std::string& scores = node.Annotation(vendor.pair_scores);
  if (!vendor.pair_scores.empty() && !scores.empty()) {
    out.pair_scores =
        protocol::DecodePairScores(scores, out.devices).value_or(std::vector<int32_t>());
  }
  return out;
}

NodeView ReadNode(const Node& node, const DeviceConfig& config) {
  NodeView out;
  out.state.name = node.name;
  for (std::string& uuid : protocol::SplitList(node.Annotation(protocol::kDeviceCordon))) {
    out.state.cordoned.insert(std::move(uuid));
  }
  for (const Vendor* vendor : EnabledVendors(config)) {
    auto cards = NodeCards(*vendor, vendor->hooks.settings(config), node);
    if (cards) {
      out.state.cards.emplace(vendor->word, *std::move(cards));
    } else if (cards.error().code != Code::kNotFound) {
      out.problems.push_back(std::move(cards).error());
    }
  }
  return out;
}

std::string DecisionSeal(const protocol::Annotations& annotations) {
  uint64_t hash = 14695981039346656037u;  // FNV-1a
  auto add = [&](std::string_view key) {
    auto it = annotations.find(key);
    // A vendor that a later build knows must not change the seal of a Pod without its cards.
    if (key.empty() || it == annotations.end()) return;
    for (std::string_view part :
         {key, std::string_view("="), std::string_view(it->second), std::string_view("\n")}) {
      for (char c : part) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
    }
  };
  add(protocol::kVgpuNode);
  for (const Vendor& vendor : AllVendors()) add(vendor.keys.allocated);
  std::string out;
  for (int shift = 60; shift >= 0; shift -= 4) out += "0123456789abcdef"[(hash >> shift) & 0xF];
  return out;
}

Result<SharesByVendor> AllocatedShares(const Pod& pod, const DeviceConfig& config) {
  const std::string& seal = pod.Annotation(protocol::kDecisionSeal);
  if (!seal.empty() && seal != DecisionSeal(pod.annotations)) {
    return Fail(Code::kDataLoss,
                "annotation hami.io/vgpu-node or one of *-devices-allocated was changed after the "
                "bind (" +
                    std::string(protocol::kDecisionSeal) +
                    " differs): restore what was there, or delete the pod");
  }
  return ReadShares(pod, config, &protocol::VendorKeys::allocated);
}

Result<SharesByVendor> PendingShares(const Pod& pod, const DeviceConfig& config) {
  return ReadShares(pod, config, &protocol::VendorKeys::to_allocate);
}

protocol::Annotations PlacementAnnotations(const Placement& placement, WallTime now) {
  protocol::Annotations out = protocol::DecisionAnnotations(placement.node, now);
  for (const auto& [word, shares] : placement.shares) {
    const Vendor* vendor = FindVendor(word);
    CHECK(vendor != nullptr);
    std::string text = protocol::EncodeAllocation(shares);
    if (!vendor->keys.to_allocate.empty()) {
      out.emplace(vendor->keys.to_allocate, text);
    }
    out.emplace(vendor->keys.allocated, std::move(text));
  }
  return out;
}

}  // namespace hami::vendor
