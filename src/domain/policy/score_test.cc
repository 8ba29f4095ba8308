#include "domain/policy/score.h"

#include <gtest/gtest.h>

#include "domain/policy/test_builders.h"

namespace hami::policy {
namespace {

using testing::Card;
using testing::MakeNode;

TEST(ScoreTest, ANodeIsScoredByWhatIsUsedBeforeThePod) {
  NodeState node = MakeNode("n", {Card{.id = "a", .memory = 1000, .used = {2, {500}, {50}, 0}},
                                  {.id = "b", .memory = 1000}});
  EXPECT_DOUBLE_EQ(NodeScore(node), 10 * (2.0 / 20 + 50.0 / 200 + 500.0 / 2000));
}

TEST(ScoreTest, AZeroTotalScoresZero) {
  EXPECT_EQ(NodeScore(NodeState{}), 0);
  EXPECT_EQ(NodeScore(MakeNode("n", {Card{.id = "a", .cores = 0, .used = {1, {1}, {0}, 0}}})), 0);
}

TEST(ScoreTest, ACardIsScoredWithTheDemandCounted) {
  Device d{.count = 10, .memory = {1000}, .cores = {100}};
  DeviceUsage used{1, {100}, {10}, 0};
  CardDemand demand{.slots = 1, .cores = 30, .memory = 300};
  EXPECT_DOUBLE_EQ(CardScore(d, used, demand, {}), 10 * (0.2 + 0.4 + 0.4));
  EXPECT_DOUBLE_EQ(CardScore(d, used, demand, {0, 0, 3}), 10 * (3 * 0.4));
  demand.percent = 50;
  EXPECT_DOUBLE_EQ(CardScore(d, used, demand, {0, 0, 1}), 10 * 0.6);
  d.count = 0;
  EXPECT_EQ(CardScore(d, used, demand, {}), 0);
}

}  // namespace
}  // namespace hami::policy
