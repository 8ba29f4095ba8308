#include "domain/policy/fit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domain/policy/test_builders.h"

namespace hami::policy {
namespace {

using testing::Ask;
using testing::Card;
using testing::kWord;
using testing::MakeNode;
using testing::MakeRequest;

// UUIDs given to each container, or the decisive reason.
std::vector<std::vector<std::string>> Cards(const FitResult& result) {
  std::vector<std::vector<std::string>> out;
  if (!result.placement) return out;
  for (const auto& container : result.placement->shares.at(kWord)) {
    out.emplace_back();
    for (const DeviceShare& share : container) out.back().push_back(share.uuid);
  }
  return out;
}
using Given = std::vector<std::vector<std::string>>;

Reason WhyNot(const std::vector<Card>& cards, const PodRequest& request) {
  return FitNode(MakeNode("n", cards), request).verdict.decisive;
}

PodRequest With(PodRequest request, CardPolicy policy) {
  request.card_policy = std::move(policy);
  return request;
}
const CardPolicy kBinpack{{CardKey::kScoreHigh, CardKey::kNumaHigh}, false, false};
const CardPolicy kMutex{{CardKey::kUsedLow, CardKey::kNumaHigh}, true, false};

TEST(FitTest, AShareIsWhatWasAskedOfTheCard) {
  FitResult r = FitNode(MakeNode("n", {{.id = "a", .memory = 81559}}),
                        MakeRequest({{.memory = 3000, .cores = 30}}));
  ASSERT_TRUE(r.placement);
  EXPECT_EQ(r.placement->shares.at(kWord), (PodShares{{{"a", kWord, {3000}, {30}}}}));
  r = FitNode(MakeNode("n", {{.id = "a", .memory = 81559}}), MakeRequest({{.percent = 50}}));
  EXPECT_EQ(r.placement->shares.at(kWord)[0][0].memory, MiB{40779});
}

TEST(FitTest, ContainersWithoutCardsHaveAnEmptyEntry) {
  FitResult r = FitNode(MakeNode("n", {{.id = "a"}}), MakeRequest({{.count = 0}, {.memory = 1}}));
  EXPECT_EQ(Cards(r), (Given{{}, {"a"}}));
}

// spec/vendors.md G, fit vector (i).
TEST(FitTest, SpreadTakesAnIdleCardBinpackTheBusyOneAndMutexNone) {
  DeviceUsage busy{1, {4096}, {30}, 0};
  std::vector<Card> cards;
  for (int i = 0; i < 8; ++i) cards.push_back({.id = "g" + std::to_string(i)});
  cards[0].used = busy;
  NodeState node = MakeNode("n", cards);
  PodRequest request = MakeRequest({{.memory = 1000, .cores = 10}});
  EXPECT_EQ(Cards(FitNode(node, request)), (Given{{"g7"}}));  // the last registered of equals
  EXPECT_EQ(Cards(FitNode(node, With(request, kBinpack))), (Given{{"g0"}}));
  EXPECT_EQ(Cards(FitNode(node, With(request, kMutex))), (Given{{"g7"}}));
  for (DeviceUsage& used : node.cards[kWord].usage) used = busy;
  FitResult full = FitNode(node, With(request, kMutex));
  EXPECT_EQ(full.verdict.cards[Reason::kExclusiveDeviceAllocateConflict], 8);
}

TEST(FitTest, EachTestHasItsReason) {
  PodRequest one = MakeRequest({{.memory = 1000, .cores = 30}});
  EXPECT_EQ(WhyNot({{.id = "a", .healthy = false}}, one), Reason::kCardNotHealth);
  EXPECT_EQ(WhyNot({{.id = "a", .count = 1, .used = {1, {}, {}, 0}}}, one),
            Reason::kCardTimeSlicingExhausted);
  EXPECT_EQ(WhyNot({{.id = "a", .memory = 999}}, one), Reason::kCardInsufficientMemory);
  EXPECT_EQ(WhyNot({{.id = "a", .used = {1, {}, {71}, 0}}}, one), Reason::kCardInsufficientCore);
  EXPECT_EQ(WhyNot({{.id = "a", .used = {1, {}, {0}, 0}}}, MakeRequest({{.cores = 100}})),
            Reason::kExclusiveDeviceAllocateConflict);
  EXPECT_EQ(WhyNot({{.id = "a", .used = {1, {}, {100}, 1}}}, MakeRequest({{.memory = 1}})),
            Reason::kCardComputeUnitsExhausted);
  EXPECT_EQ(WhyNot({{.id = "a", .mode = "mig"}}, one), Reason::kCardMigTopologyInfeasible);
  EXPECT_EQ(WhyNot({{.id = "a"}}, MakeRequest({{.count = 2}})), Reason::kNodeInsufficientDevice);
  EXPECT_EQ(FitNode(NodeState{}, one).verdict.decisive, Reason::kNodeUnregistered);
}

TEST(FitTest, ANodeWithCardsOfOthersOnlyHasTooFew) {
  NodeState node;
  node.cards["W"];
  EXPECT_EQ(FitNode(node, MakeRequest({{.memory = 1}})).verdict.decisive,
            Reason::kNodeInsufficientDevice);
}

TEST(FitTest, ACordonedCardTakesNothingNew) {
  NodeState node = MakeNode("n", {{.id = "a"}});
  node.cordoned = {"a"};
  EXPECT_EQ(FitNode(node, MakeRequest({{.memory = 1}})).verdict.decisive, Reason::kCardCordoned);
}

TEST(FitTest, TypesMatchAsPartsInAnyCaseAndUuidsExactly) {
  NodeState node =
      MakeNode("n", {{.id = "a", .type = "NV A100-SXM4"}, {.id = "b", .type = "NV T4"}});
  PodRequest r = MakeRequest({{.memory = 1}});
  auto& select = r.vendors[0].select;
  select.use_types = {"a100", "h100"};
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"a"}}));
  select = {.nouse_types = {"t4"}};
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"a"}}));
  select = {.use_uuids = {"a"}};
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"a"}}));
  select = {.nouse_uuids = {"b"}};
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"a"}}));
  select = {.use_uuids = {"A"}};
  EXPECT_EQ(FitNode(node, r).verdict.decisive, Reason::kCardUuidMismatch);
  select = {.use_types = {"v100"}};
  EXPECT_EQ(FitNode(node, r).verdict.decisive, Reason::kCardTypeMismatch);
}

TEST(FitTest, TheModeAnnotationMustNameTheCardsMode) {
  PodRequest r = MakeRequest({{.memory = 1}});
  r.vendors[0].select.modes = "mig,mps";
  EXPECT_EQ(WhyNot({{.id = "a"}}, r), Reason::kCardTypeMismatch);
  EXPECT_TRUE(FitNode(MakeNode("n", {{.id = "a", .mode = "mps"}}), r).placement);
  EXPECT_TRUE(FitNode(MakeNode("n", {{.id = "a", .mode = ""}}), r).placement);
}

// Trap: with core scaling above 1 the reference shares a card that somebody asked for alone.
TEST(FitTest, HundredCoresAreTheWholeCardUnderAnyScaling) {
  PodRequest little = MakeRequest({{.memory = 1, .cores = 10}});
  PodRequest whole = MakeRequest({{.memory = 1, .cores = 100}});
  Card held{.id = "a", .cores = 200, .used = {1, {1}, {100}, 1}};
  Card shared{.id = "a", .cores = 200, .used = {1, {1}, {10}, 0}};
  EXPECT_EQ(WhyNot({held}, little), Reason::kExclusiveDeviceAllocateConflict);
  EXPECT_EQ(WhyNot({shared}, whole), Reason::kExclusiveDeviceAllocateConflict);
  EXPECT_TRUE(FitNode(MakeNode("n", {shared}), little).placement);
}

TEST(FitTest, TwoCardsAreTwoDifferentCards) {
  FitResult r =
      FitNode(MakeNode("n", {{.id = "a"}, {.id = "b"}}), MakeRequest({{.count = 2, .memory = 9}}));
  EXPECT_EQ(Cards(r), (Given{{"b", "a"}}));
}

TEST(FitTest, TooFewGoodCardsAreCounted) {
  FitResult r = FitNode(MakeNode("n", {{.id = "a"}, {.id = "b"}, {.id = "c", .memory = 1}}),
                        MakeRequest({{.count = 3, .memory = 9}}));
  EXPECT_EQ(r.verdict.decisive, Reason::kAllocatedCardsInsufficientRequest);
  EXPECT_EQ(r.verdict.cards[Reason::kAllocatedCardsInsufficientRequest], 2);
  EXPECT_EQ(r.verdict.cards[Reason::kCardInsufficientMemory], 1);
  EXPECT_EQ(r.verdict.free_cards, 2);
  EXPECT_EQ(r.verdict.total_cards, 3);
}

// Trap (spec/vendors.md A.6 S4): a card that would fail anyway reset a nearly complete group.
TEST(FitTest, NumaGroupsAreJudgedOverTheCardsThatPass) {
  PodRequest r = MakeRequest({{.count = 2, .memory = 1000}});
  r.numa_bind = true;
  r.card_policy.order = {CardKey::kNumaHigh, CardKey::kScoreLow};
  NodeState node = MakeNode("n", {{.id = "a", .numa = 0},
                                  {.id = "b", .numa = 0},
                                  {.id = "x", .memory = 1, .numa = 1},
                                  {.id = "c", .numa = 1}});
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"b", "a"}}));
  node.cards[kWord].devices[0].numa = 2;
  FitResult none = FitNode(node, r);
  EXPECT_EQ(none.verdict.decisive, Reason::kNumaNotFit);
  EXPECT_EQ(none.verdict.cards[Reason::kNumaNotFit], 3);
}

TEST(FitTest, TopologyTakesTheBestLinkedSet) {
  PodRequest r = MakeRequest({{.count = 2, .memory = 1}});
  r.card_policy.topology = true;
  NodeState node = MakeNode("n", {{.id = "0"}, {.id = "1"}, {.id = "2"}, {.id = "3"}});
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"0", "1"}}));
  auto& s = node.cards[kWord].pair_scores;
  s.assign(16, 20);
  s[1 * 4 + 2] = s[2 * 4 + 1] = 1220;
  EXPECT_EQ(Cards(FitNode(node, r)), (Given{{"1", "2"}}));
}

TEST(FitTest, AppsShareACardOnlyWhileItHolds) {
  PodRequest two = MakeRequest({{.memory = 9000}, {.memory = 9000}});
  EXPECT_EQ(WhyNot({{.id = "a"}}, two), Reason::kCardInsufficientMemory);
  EXPECT_EQ(Cards(FitNode(MakeNode("n", {{.id = "a"}, {.id = "b"}}), two)), (Given{{"b"}, {"a"}}));
}

TEST(FitTest, InitContainersReuseWhatAppsGetLater) {
  PodRequest r = MakeRequest({{.memory = 16000, .cores = 100, .kind = ContainerKind::kInit},
                              {.memory = 12000, .kind = ContainerKind::kInit},
                              {.memory = 16000, .cores = 100}});
  EXPECT_EQ(Cards(FitNode(MakeNode("n", {{.id = "a"}}), r)), (Given{{"a"}, {"a"}, {"a"}}));
}

TEST(FitTest, SidecarsStandBesideInitAndApps) {
  std::vector<Card> card = {{.id = "a"}};
  Ask side{.memory = 4000, .kind = ContainerKind::kSidecar};
  Ask init{.memory = 12001, .kind = ContainerKind::kInit};
  EXPECT_EQ(WhyNot(card, MakeRequest({init, side, {.memory = 1}})),
            Reason::kCardInsufficientMemory);
  init.memory = 12000;
  EXPECT_TRUE(FitNode(MakeNode("n", card), MakeRequest({init, side, {.memory = 12000}})).placement);
}

TEST(DecideTest, BinpackFillsAndSpreadAvoidsTheFullestNode) {
  DeviceUsage used{1, {1000}, {10}, 0};
  NodeState idle = MakeNode("idle", {{.id = "a"}});
  NodeState busy = MakeNode("busy", {{.id = "b", .used = used}});
  NodeState full = MakeNode("full", {{.id = "c", .memory = 1}});
  std::vector<const NodeState*> nodes = {&idle, &busy, &full};
  PodRequest r = MakeRequest({{.memory = 1000}});
  Decision d = Decide(nodes, r);
  EXPECT_EQ(d.placement->node, "busy");
  EXPECT_EQ(d.fitting.size(), 2u);
  ASSERT_EQ(d.refusals.size(), 1u);
  EXPECT_EQ(d.refusals[0].node, "full");
  r.node_policy = NodePolicy::kSpread;
  EXPECT_EQ(Decide(nodes, r).placement->node, "idle");
}

TEST(DecideTest, EqualNodesAreTakenByName) {
  NodeState a = MakeNode("a", {{.id = "1"}});
  NodeState b = MakeNode("b", {{.id = "2"}});
  PodRequest r = MakeRequest({{.memory = 1}});
  for (NodePolicy policy : {NodePolicy::kBinpack, NodePolicy::kSpread}) {
    r.node_policy = policy;
    std::vector<const NodeState*> forth = {&a, &b};
    std::vector<const NodeState*> back = {&b, &a};
    EXPECT_EQ(Decide(forth, r).placement->node, "a");
    EXPECT_EQ(Decide(back, r).placement->node, "a");
  }
}

TEST(DecideTest, NoNodesNoPlacement) { EXPECT_FALSE(Decide({}, MakeRequest({{}})).placement); }

}  // namespace
}  // namespace hami::policy
