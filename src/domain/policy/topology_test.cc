#include "domain/policy/topology.h"

#include <gtest/gtest.h>

namespace hami::policy {
namespace {

// spec/vendors.md G, fit vector (v): pairs 0-1 and 2-3 are linked well, others badly.
std::vector<int32_t> FourCards() {
  std::vector<int32_t> s(16, 20);
  s[0 * 4 + 1] = s[1 * 4 + 0] = s[2 * 4 + 3] = s[3 * 4 + 2] = 1220;
  return s;
}

TEST(TopologyTest, TwoCardsAreTheBestPairAndTiesTheFirst) {
  EXPECT_EQ(BestLinked(std::vector<size_t>{0, 1, 2, 3}, 2, FourCards(), 4),
            (std::vector<size_t>{0, 1}));
  EXPECT_EQ(BestLinked(std::vector<size_t>{1, 2, 3}, 2, FourCards(), 4),
            (std::vector<size_t>{2, 3}));
}

TEST(TopologyTest, OneCardLeavesGoodPairsAlone) {
  EXPECT_EQ(BestLinked(std::vector<size_t>{0, 1, 2}, 1, FourCards(), 4), (std::vector<size_t>{2}));
}

TEST(TopologyTest, AllCardsAreAllCards) {
  EXPECT_EQ(BestLinked(std::vector<size_t>{2, 0}, 2, {}, 4), (std::vector<size_t>{2, 0}));
}

// Trap: every combination of many cards is out of reach; the greedy choice still finds a clear
// group.
TEST(TopologyTest, ManyCardsAreChosenGreedily) {
  constexpr size_t kCards = 40;
  std::vector<int32_t> s(kCards * kCards, 1);
  for (size_t a = 30; a < 38; ++a) {
    for (size_t b = 30; b < 38; ++b) s[a * kCards + b] = 500;
  }
  std::vector<size_t> all(kCards);
  for (size_t i = 0; i < kCards; ++i) all[i] = i;
  EXPECT_EQ(BestLinked(all, 8, s, kCards), (std::vector<size_t>{30, 31, 32, 33, 34, 35, 36, 37}));
}

}  // namespace
}  // namespace hami::policy
