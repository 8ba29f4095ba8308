// Builders for tests of this folder and of those above it: nodes, cards and requests in one line
// each.
//
// Test code only. Vendor words stay out: cards belong to the made-up vendor "V".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "domain/model/cluster.h"
#include "domain/model/request.h"

namespace hami::policy::testing {

inline const std::string kWord = "V";

struct Card {
  std::string id;
  int64_t memory = 16000;
  int64_t cores = 100;
  int32_t count = 10;
  DeviceUsage used = {};
  int numa = 0;
  std::string type = "Model X";
  std::string mode = "hami-core";
  bool healthy = true;
};

inline NodeState MakeNode(std::string name, const std::vector<Card>& cards) {
  NodeState node;
  node.name = std::move(name);
  CardSet& set = node.cards[kWord];
  for (const Card& c : cards) {
    Device d;
    d.id = c.id;
    d.index = static_cast<uint32_t>(set.devices.size());
    d.count = c.count;
    d.memory = {c.memory};
    d.cores = {c.cores};
    d.type = c.type;
    d.numa = c.numa;
    d.mode = c.mode;
    d.healthy = c.healthy;
    set.devices.push_back(std::move(d));
    set.usage.push_back(c.used);
  }
  return node;
}

struct Ask {
  int32_t count = 1;
  int64_t memory = 0;
  int32_t percent = 0;
  int64_t cores = 0;
  ContainerKind kind = ContainerKind::kApp;
};

// Spread among cards, binpack among nodes, every test switched on.
inline PodRequest MakeRequest(const std::vector<Ask>& asks) {
  PodRequest request;
  VendorRequest vendor;
  vendor.word = kWord;
  vendor.rules = {
      .cordon = true, .numa_bind = true, .whole_card = true, .free_core = true, .mig = true};
  for (const Ask& ask : asks) {
    request.kinds.push_back(ask.kind);
    request.names.push_back("c" + std::to_string(request.names.size()));
    vendor.containers.push_back({.count = ask.count,
                                 .memory = {ask.memory},
                                 .memory_percent = ask.percent,
                                 .cores = {ask.cores}});
  }
  request.vendors.push_back(std::move(vendor));
  request.card_policy.order = {CardKey::kScoreLow, CardKey::kNumaHigh};
  return request;
}

}  // namespace hami::policy::testing
