// A slow, obviously right placement against the production one: on all small inputs, then on random
// larger ones. The oracle is written from the text of spec/scheduler.md 6 and 7 (lists that are
// sorted and walked from their end), not from policy/fit.cc.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <vector>

#include "domain/policy/charge.h"
#include "domain/policy/fit.h"
#include "domain/policy/score.h"
#include "domain/policy/test_builders.h"

namespace hami::policy {
namespace {

using testing::Ask;
using testing::Card;
using testing::kWord;
using testing::MakeNode;
using testing::MakeRequest;

enum class Policy { kSpread, kBinpack, kMutex };

CardPolicy ToCardPolicy(Policy policy) {
  switch (policy) {
    case Policy::kSpread:
      return {{CardKey::kScoreLow, CardKey::kNumaHigh}, false, false};
    case Policy::kBinpack:
      return {{CardKey::kScoreHigh, CardKey::kNumaHigh}, false, false};
    case Policy::kMutex:
      return {{CardKey::kUsedLow, CardKey::kNumaHigh}, true, false};
  }
  return {};
}

bool CardTakes(const Device& d, const DeviceUsage& u, const ContainerRequest& ask, bool mutex) {
  int64_t memory =
      ask.memory_percent != 0 ? d.memory.value * ask.memory_percent / 100 : ask.memory.value;
  bool alone = ask.cores.value >= 100 || mutex;
  bool held = d.cores.value > 100 && u.exclusive > 0;
  bool core_left = u.cores.value < d.cores.value || ask.cores.value > 0;
  return d.healthy && d.mode != "mig" && u.slots < d.count &&
         u.memory.value + memory <= d.memory.value &&
         u.cores.value + ask.cores.value <= d.cores.value && !(alone && u.slots > 0) && !held &&
         core_left;
}

struct Chosen {
  size_t container;
  size_t card;
  MiB memory;
};

// One container: the list of the spec, sorted, walked from its end.
bool PlaceOne(const CardSet& set, std::vector<DeviceUsage>& usage, size_t container,
              const ContainerRequest& ask, Policy policy, bool keep, std::vector<Chosen>& out) {
  CardDemand demand{ask.count, ask.cores.value, ask.memory.value, ask.memory_percent};
  std::vector<size_t> list(set.devices.size());
  for (size_t i = 0; i < list.size(); ++i) list[i] = i;
  auto score = [&](size_t i) { return CardScore(set.devices[i], usage[i], demand, {}); };
  std::ranges::stable_sort(list, [&](size_t a, size_t b) {
    double sa = score(a);
    double sb = score(b);
    if (policy == Policy::kMutex) {
      sa = -usage[a].slots;
      sb = -usage[b].slots;
    }
    if (policy == Policy::kSpread) std::swap(sa, sb);
    if (sa != sb) return sa < sb;
    return set.devices[a].numa < set.devices[b].numa;
  });
  std::vector<size_t> taken;
  for (size_t i = list.size(); i-- > 0 && taken.size() < static_cast<size_t>(ask.count);) {
    if (CardTakes(set.devices[list[i]], usage[list[i]], ask, policy == Policy::kMutex)) {
      taken.push_back(list[i]);
    }
  }
  if (taken.size() < static_cast<size_t>(ask.count)) return false;
  for (size_t card : taken) {
    int64_t percent = set.devices[card].memory.value * ask.memory_percent / 100;
    MiB memory = ask.memory_percent != 0 ? MiB{percent} : ask.memory;
    out.push_back({container, card, memory});
    if (keep) usage[card] += UsageOf({"", "", memory, ask.cores});
  }
  return true;
}

std::optional<PodShares> OracleFit(const NodeState& node, const PodRequest& r, Policy policy) {
  if (node.cards.empty()) return std::nullopt;
  const CardSet& set = node.cards.at(kWord);
  const auto& asks = r.vendors[0].containers;
  std::vector<DeviceUsage> running = set.usage;  // what stays beside the container being placed
  std::vector<Chosen> chosen;
  auto pass = [&](ContainerKind kind) {
    for (size_t c = 0; c < asks.size(); ++c) {
      if (r.kinds[c] != kind || asks[c].count == 0) continue;
      if (!PlaceOne(set, running, c, asks[c], policy, kind != ContainerKind::kInit, chosen)) {
        return false;
      }
    }
    return true;
  };
  if (!pass(ContainerKind::kSidecar) || !pass(ContainerKind::kInit) || !pass(ContainerKind::kApp)) {
    return std::nullopt;
  }
  PodShares shares(asks.size());
  for (const Chosen& c : chosen) {
    shares[c.container].push_back(
        {set.devices[c.card].id, kWord, c.memory, asks[c.container].cores});
  }
  return shares;
}

// The best node by reading every score, then every name.
std::optional<Placement> OracleDecide(const std::vector<NodeState>& nodes, const PodRequest& r,
                                      Policy policy) {
  std::map<std::string, std::pair<double, PodShares>> fitting;
  for (const NodeState& node : nodes) {
    if (auto shares = OracleFit(node, r, policy)) fitting[node.name] = {NodeScore(node), *shares};
  }
  if (fitting.empty()) return std::nullopt;
  auto best = fitting.begin();
  for (auto it = fitting.begin(); it != fitting.end(); ++it) {
    bool fuller = it->second.first > best->second.first;
    bool emptier = it->second.first < best->second.first;
    if (r.node_policy == NodePolicy::kSpread ? emptier : fuller) best = it;
  }
  return Placement{best->first, best->second.first, {{kWord, best->second.second}}};
}

// Whatever was decided, no card is promised beyond what it has.
void CheckCapacity(const std::vector<NodeState>& nodes, const PodRequest& r, const Placement& p) {
  Pod pod;
  for (ContainerKind kind : r.kinds) {
    pod.containers.emplace_back();
    pod.containers.back().kind = kind;
  }
  Charge charge = ChargeOf(pod, p.shares);
  for (const NodeState& node : nodes) {
    if (node.name != p.node) continue;
    const CardSet& set = node.cards.at(kWord);
    for (size_t i = 0; i < set.devices.size(); ++i) {
      auto mine = charge.find(set.devices[i].id);
      if (mine == charge.end()) continue;
      DeviceUsage sum = set.usage[i];
      sum += mine->second;
      RC_ASSERT(sum.slots <= set.devices[i].count);
      RC_ASSERT(sum.memory <= set.devices[i].memory);
      RC_ASSERT(sum.cores <= set.devices[i].cores);
    }
  }
}

std::vector<const NodeState*> Pointers(const std::vector<NodeState>& nodes) {
  std::vector<const NodeState*> out;
  for (const NodeState& node : nodes) out.push_back(&node);
  return out;
}

// Every node of one to three cards in each of three states.
std::vector<std::vector<Card>> SmallNodes() {
  const std::vector<Card> kStates = {
      {.id = "", .memory = 4, .count = 2},
      {.id = "", .memory = 4, .count = 2, .used = {1, {2}, {50}, 0}},
      {.id = "", .memory = 4, .count = 2, .used = {1, {1}, {100}, 1}, .numa = 1},
  };
  std::vector<std::vector<Card>> out;
  std::vector<std::vector<Card>> last = {{}};
  for (int cards = 1; cards <= 3; ++cards) {
    std::vector<std::vector<Card>> next;
    for (const auto& node : last) {
      for (const Card& state : kStates) {
        next.push_back(node);
        next.back().push_back(state);
        next.back().back().id = "g" + std::to_string(node.size());
      }
    }
    out.insert(out.end(), next.begin(), next.end());
    last = std::move(next);
  }
  return out;
}

std::vector<PodRequest> SmallRequests(Policy policy, NodePolicy node_policy) {
  std::vector<PodRequest> out;
  for (int32_t count : {1, 2}) {
    for (int64_t memory : {1, 2, 4}) {
      for (int64_t cores : {0, 50, 100}) {
        out.push_back(MakeRequest({{.count = count, .memory = memory, .cores = cores}}));
        out.back().card_policy = ToCardPolicy(policy);
        out.back().node_policy = node_policy;
      }
    }
  }
  return out;
}

void ExpectSame(const std::vector<NodeState>& nodes, const PodRequest& request, Policy policy) {
  auto expected = OracleDecide(nodes, request, policy);
  Decision decision = Decide(Pointers(nodes), request);
  ASSERT_EQ(decision.placement.has_value(), expected.has_value());
  if (expected) {
    ASSERT_EQ(*decision.placement, *expected);
  }
  ASSERT_EQ(decision.refusals.size() + decision.fitting.size(), nodes.size());
}

TEST(OracleTest, EveryPairOfSmallNodesIsDecidedAsByTheOracle) {
  auto shapes = SmallNodes();
  for (Policy policy : {Policy::kSpread, Policy::kBinpack, Policy::kMutex}) {
    for (NodePolicy node_policy : {NodePolicy::kBinpack, NodePolicy::kSpread}) {
      auto requests = SmallRequests(policy, node_policy);
      for (size_t a = 0; a < shapes.size(); ++a) {
        for (size_t b = a; b < shapes.size(); ++b) {
          std::vector<NodeState> nodes = {MakeNode("a", shapes[a]), MakeNode("b", shapes[b])};
          // Each pair meets every third request; which ones rotates with the pair.
          for (size_t i = (a + b) % 3; i < requests.size(); i += 3) {
            ExpectSame(nodes, requests[i], policy);
            if (HasFatalFailure()) return;
          }
        }
      }
    }
  }
}

// Every way to give one container its cards: production finds one exactly when there is one.
TEST(OracleTest, ASingleContainerFitsExactlyWhenSomeSetOfCardsHoldsIt) {
  for (const auto& shape : SmallNodes()) {
    NodeState node = MakeNode("n", shape);
    const CardSet& set = node.cards.at(kWord);
    for (const PodRequest& request : SmallRequests(Policy::kSpread, NodePolicy::kBinpack)) {
      const ContainerRequest& ask = request.vendors[0].containers[0];
      bool possible = false;
      for (unsigned mask = 1; mask < 1u << set.devices.size(); ++mask) {
        bool good = std::popcount(mask) == ask.count;
        for (size_t i = 0; i < set.devices.size(); ++i) {
          if ((mask >> i & 1u) != 0) {
            good = good && CardTakes(set.devices[i], set.usage[i], ask, false);
          }
        }
        possible = possible || good;
      }
      ASSERT_EQ(FitNode(node, request).placement.has_value(), possible);
    }
  }
}

struct Scene {
  std::vector<NodeState> nodes;
  PodRequest request;
  Policy policy;
};

Scene GenScene() {
  auto in = [](int low, int high) { return *rc::gen::inRange(low, high + 1); };
  Scene scene;
  int count = in(1, 3);
  for (int n = 0; n < count; ++n) {
    std::vector<Card> cards(static_cast<size_t>(in(1, 4)));
    for (size_t i = 0; i < cards.size(); ++i) {
      Card& c = cards[i];
      c.id = "n" + std::to_string(n) + "g" + std::to_string(i);
      c.memory = in(1, 4) * 1000;
      c.cores = in(0, 3) == 0 ? 200 : 100;
      c.count = in(1, 4);
      c.numa = in(0, 1);
      c.healthy = in(0, 9) != 0;
      c.mode = in(0, 9) == 0 ? "mig" : "hami-core";
      c.used = {in(0, c.count), {in(0, 4) * c.memory / 4}, {in(0, 4) * c.cores / 4}, 0};
      if (c.used.slots > 0 && c.used.cores.value >= 100) c.used.exclusive = 1;
    }
    scene.nodes.push_back(MakeNode("n" + std::to_string(n), cards));
  }
  std::vector<Ask> asks(static_cast<size_t>(in(1, 4)));
  bool any = false;
  for (Ask& ask : asks) {
    ask.count = in(0, 2);
    ask.memory = in(0, 3) * 500;
    if (ask.memory == 0) ask.percent = in(1, 4) * 25;
    ask.cores = in(0, 4) * 25;
    ask.kind = static_cast<ContainerKind>(in(0, 2));
    any = any || ask.count > 0;
  }
  if (!any) asks[0].count = 1;
  scene.policy = static_cast<Policy>(in(0, 2));
  scene.request = MakeRequest(asks);
  scene.request.card_policy = ToCardPolicy(scene.policy);
  scene.request.node_policy = in(0, 1) == 0 ? NodePolicy::kBinpack : NodePolicy::kSpread;
  return scene;
}

RC_GTEST_PROP(OracleProperty, RandomScenesAreDecidedAsByTheOracle, ()) {
  for (int i = 0; i < 20; ++i) {
    Scene s = GenScene();
    auto expected = OracleDecide(s.nodes, s.request, s.policy);
    Decision decision = Decide(Pointers(s.nodes), s.request);
    RC_ASSERT(decision.placement == expected);
    if (expected) CheckCapacity(s.nodes, s.request, *expected);
    for (const NodeVerdict& refusal : decision.refusals) {
      RC_ASSERT(refusal.decisive != Reason::kFits);
    }
  }
}

RC_GTEST_PROP(OracleProperty, TheOrderOfNodesDoesNotMatter, ()) {
  Scene s = GenScene();
  Decision forth = Decide(Pointers(s.nodes), s.request);
  std::ranges::reverse(s.nodes);
  Decision back = Decide(Pointers(s.nodes), s.request);
  RC_ASSERT(forth.placement == back.placement);
}

}  // namespace
}  // namespace hami::policy
