#include "domain/policy/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "domain/policy/test_builders.h"

namespace hami::policy {
namespace {

using testing::Card;
using ::testing::HasSubstr;
using testing::MakeNode;
using testing::MakeRequest;
using ::testing::Not;

std::string Refused(const std::vector<NodeState>& nodes, const PodRequest& request) {
  std::vector<const NodeState*> pointers;
  for (const NodeState& node : nodes) pointers.push_back(&node);
  Decision decision = Decide(pointers, request);
  EXPECT_FALSE(decision.placement);
  return RefusalText(request, decision.refusals);
}

TEST(ExplainTest, TheEventCountsCardsAndNodesPerReasonAndNamesTheClosest) {
  DeviceUsage used{1, {13500}, {0}, 0};
  std::string text = Refused(
      {MakeNode("n1", {{.id = "a", .used = used}, {.id = "b", .healthy = false}}),
       MakeNode("n2", {{.id = "c", .memory = 15000, .used = used}}), NodeState{.name = "n3"}},
      MakeRequest({{.memory = 3000, .cores = 30}}));
  EXPECT_EQ(text,
            "no fit on 3 nodes: container \"c0\" asks 3000 MiB and 30 cores on 1 card; "
            "CardInsufficientMemory: 2 of 3 cards on 2 nodes (n1, n2); "
            "node unregistered: 1 node (n3); CardNotHealth: 1 of 2 cards on 1 node (n1); "
            "closest: n1 lacks 500 MiB (2500 MiB free on its best card)");
}

// Issue: more than the largest card of today stays Pending, and the Event names the largest card.
TEST(ExplainTest, ARequestBeyondEveryCardNamesTheLargestOne) {
  std::string text = Refused(
      {MakeNode("n1", {{.id = "a", .memory = 16000, .type = "Model S"}}),
       MakeNode("n2",
                {{.id = "b", .memory = 81559, .used = {1, {80000}, {}, 0}, .type = "Model L"}})},
      MakeRequest({{.memory = 90000}}));
  EXPECT_THAT(text, HasSubstr("more than the largest card: Model L on n2 has 81559 MiB"));
  EXPECT_THAT(text, Not(HasSubstr("closest")));
  EXPECT_THAT(Refused({MakeNode("n1", {{.id = "a", .used = {1, {9000}, {}, 0}}})},
                      MakeRequest({{.memory = 16000}})),
              Not(HasSubstr("largest card")));
}

TEST(ExplainTest, MissingCardsAndCoresAreHintsToo) {
  EXPECT_THAT(Refused({MakeNode("n", {{.id = "a"}, {.id = "b", .healthy = false}})},
                      MakeRequest({{.count = 2, .memory = 1}})),
              HasSubstr("closest: n has 1 of 2 cards"));
  EXPECT_THAT(Refused({MakeNode("n", {{.id = "a", .used = {1, {}, {80}, 0}}})},
                      MakeRequest({{.memory = 1, .cores = 30}})),
              HasSubstr("closest: n lacks 10 cores (20 free on its best card)"));
}

TEST(ExplainTest, CardsInMigModeAreSpokenOfHonestly) {
  EXPECT_THAT(Refused({MakeNode("n", {{.id = "a", .mode = "mig"}})}, MakeRequest({{.memory = 1}})),
              HasSubstr("cards in mode mig are not handed out by this version"));
}

// Trap: 5,000 names made events of 200 KB.
TEST(ExplainTest, AnEventHasAtMost1024BytesHoweverLongTheNames) {
  std::vector<NodeState> nodes;
  for (int i = 0; i < 300; ++i) {
    NodeState node = MakeNode(std::string(250, 'n') + std::to_string(i),
                              {{.id = "a", .memory = 400, .used = {1, {20}, {}, 0}}});
    if (i % 3 == 0) node.cards.at(testing::kWord).devices[0].healthy = false;
    if (i % 3 == 1) node.cards.at(testing::kWord).usage[0] = {10, {}, {}, 0};
    nodes.push_back(std::move(node));
  }
  PodRequest request = MakeRequest({{.memory = 390}});
  request.names[0] = std::string(63, 'c');
  std::string text = Refused(nodes, request);
  EXPECT_LE(text.size(), kMaxEventText);
  EXPECT_THAT(text, HasSubstr("CardTimeSlicingExhausted: 100 of 100 cards on 100 nodes"));
  EXPECT_THAT(text, HasSubstr("closest: "));
}

TEST(ExplainTest, TenNamesAndTheRestAsANumber) {
  std::vector<NodeState> nodes;
  for (int i = 0; i < 12; ++i) nodes.push_back(NodeState{.name = "n" + std::to_string(10 + i)});
  EXPECT_THAT(Refused(nodes, MakeRequest({{.memory = 1}})),
              HasSubstr("node unregistered: 12 nodes (n10, n11, n12, n13, n14, n15, n16, n17, n18, "
                        "n19 and 2 more)"));
}

TEST(ExplainTest, OneNodeAtLength) {
  NodeState node = MakeNode("n1", {{.id = "a", .memory = 100}, {.id = "b", .healthy = false}});
  PodRequest request = MakeRequest({{.memory = 90, .cores = 101}});
  EXPECT_EQ(
      NodeText(request, FitNode(node, request).verdict),
      "n1: 1/2 CardNotHealth, 1/2 CardInsufficientCore; closest: n1 lacks 1 core (100 free on "
      "its best card)");
  PodRequest many = MakeRequest({{.count = 3}});
  EXPECT_EQ(NodeText(many, FitNode(node, many).verdict),
            "n1: NodeInsufficientDevice: asks 3 cards, there are at most 2");
}

// Complaint: refusals named neither what was asked for nor what is there.
TEST(ExplainTest, ARefusalNamesWhatIsAskedForAndWhatIsThere) {
  NodeState a = MakeNode("n1", {{.id = "GPU-a", .numa = 0, .type = "NVIDIA A100"},
                                {.id = "GPU-b", .numa = 1, .type = "NVIDIA A100"}});
  NodeState b = MakeNode("n2", {{.id = "GPU-c", .type = "NVIDIA L4"}});
  PodRequest request = MakeRequest({{.memory = 1}});
  request.vendors[0].select.use_types = {"h100", "h800"};
  request.vendors[0].select.nouse_types = {"a100"};
  EXPECT_THAT(Refused({a, b}, request),
              HasSubstr("CardTypeMismatch: 3 of 3 cards on 2 nodes (n1, n2): asks for type h100, "
                        "h800, not type a100, there is NVIDIA A100, NVIDIA L4"));
  EXPECT_EQ(NodeText(request, FitNode(b, request).verdict),
            "n2: 1/1 CardTypeMismatch (asks for type h100, h800, not type a100, there is "
            "NVIDIA L4)");

  request.vendors[0].select = {.modes = "mps"};
  EXPECT_THAT(Refused({b}, request), HasSubstr("asks for mode mps, there is NVIDIA L4 in mode "
                                               "hami-core"));
  request.vendors[0].select = {.use_uuids = {"GPU-gone"}};
  EXPECT_THAT(Refused({a}, request),
              HasSubstr("CardUuidMismatch: 2 of 2 cards on 1 node (n1): asks for card GPU-gone, "
                        "there is GPU-a"));

  PodRequest pair = MakeRequest({{.count = 2, .memory = 1}});
  pair.numa_bind = true;
  EXPECT_THAT(Refused({a}, pair), HasSubstr("NumaNotFit: 2 of 2 cards on 1 node (n1): asks 2 "
                                            "cards of one NUMA node, at most 1 are free on one"));
  EXPECT_THAT(Refused({a, b}, MakeRequest({{.count = 8}})),
              HasSubstr("NodeInsufficientDevice: 2 nodes (n1, n2): asks 8 cards, there are at most "
                        "2"));
}

TEST(ExplainTest, LongListsOfWishesAreCut) {
  PodRequest request = MakeRequest({{.memory = 1}});
  for (int i = 0; i < 50; ++i) {
    request.vendors[0].select.use_uuids.push_back(std::string(200, 'u') + std::to_string(i));
  }
  std::string text = Refused({MakeNode("n1", {{.id = "a"}})}, request);
  EXPECT_LE(text.size(), kMaxEventText);
  EXPECT_THAT(text, HasSubstr("uuu... and 47 more, there is a"));
}

// Complaint: a node that one Pod's unreadable annotation closes was called unregistered.
TEST(ExplainTest, ANodeWithAnUnreadableAllocationNamesThePod) {
  NodeVerdict verdict;
  verdict.node = "n1";
  verdict.decisive = Reason::kNodeUsageUnavailable;
  verdict.unreadable = "team-a/odd";
  PodRequest request = MakeRequest({{.memory = 1}});
  EXPECT_THAT(RefusalText(request, {&verdict, 1}),
              HasSubstr("node usage unavailable: 1 node (n1): the allocation of pod team-a/odd "
                        "cannot be read"));
  EXPECT_EQ(NodeText(request, verdict),
            "n1: node usage unavailable: the allocation of pod team-a/odd cannot be read");
  EXPECT_EQ(FailedNodeText(verdict),
            "node usage unavailable; the allocation of pod team-a/odd cannot be read");
  EXPECT_TRUE(IsFailedNodeText(FailedNodeText(verdict)));
  EXPECT_TRUE(IsFailedNodeText("CardNotHealth"));
  EXPECT_FALSE(IsFailedNodeText("Insufficient cpu"));
}

TEST(ExplainTest, SuccessReadsAsInTheReference) {
  NodeState a = MakeNode("n1", {{.id = "a", .used = {1, {4000}, {20}, 0}}});
  NodeState b = MakeNode("n2", {{.id = "b"}});
  NodeState c = MakeNode("n3", {{.id = "c", .healthy = false}});
  std::vector<const NodeState*> nodes = {&a, &b, &c};
  Decision d = Decide(nodes, MakeRequest({{.memory = 1}}));
  EXPECT_EQ(SuccessText(d), "find fit node(n1), 1 nodes not fit, 2 nodes fit(n1:5.50,n2:0.00)");
  std::vector<NodeState> many;
  for (int i = 0; i < 30; ++i)
    many.push_back(MakeNode(std::string(240, 'x') + std::to_string(i), {{.id = "a"}}));
  nodes.clear();
  for (const NodeState& node : many) nodes.push_back(&node);
  std::string text = SuccessText(Decide(nodes, MakeRequest({{.memory = 1}})));
  EXPECT_LE(text.size(), kMaxEventText);
  EXPECT_THAT(text, HasSubstr("30 nodes fit("));
  EXPECT_THAT(text, HasSubstr(" more)"));
  EXPECT_EQ(SuccessText(Decision{}), "");
}

TEST(ExplainTest, EveryReasonHasAWordOfItsOwn) {
  std::set<std::string_view> words;
  for (size_t r = 0; r < kReasonCount; ++r) {
    EXPECT_TRUE(words.insert(ReasonText(static_cast<Reason>(r))).second);
  }
}

}  // namespace
}  // namespace hami::policy
