#include "limiter/core/prepaid.h"

#include <gtest/gtest.h>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kLaunchNs = 1000;

// What is left unused when the thread ends after so many launches.
uint64_t Unused(int launches) {
  Prepaid prepaid;
  uint64_t unused = 0;
  for (int i = 0; i < launches; ++i) {
    if (prepaid.Covers(0, kLaunchNs)) {
      prepaid.Spend(kLaunchNs);
      unused -= kLaunchNs;
    } else {
      const uint32_t wanted = prepaid.Wanted(kLaunchNs);
      prepaid.Bought(wanted);
      unused += wanted;
    }
  }
  return unused;
}

TEST(PrepaidTest, ATimeThatIsBoughtIsSpentOnceAndOnItsCardOnly) {
  Prepaid prepaid;
  EXPECT_FALSE(prepaid.Covers(0, 1));
  prepaid.Bought(2500);
  EXPECT_FALSE(prepaid.Covers(1, kLaunchNs));
  for (const uint64_t ns : {kLaunchNs, kLaunchNs, uint64_t{500}}) {
    ASSERT_TRUE(prepaid.Covers(0, ns));
    EXPECT_FALSE(prepaid.Covers(0, 2501));
    prepaid.Spend(ns);
  }
  EXPECT_FALSE(prepaid.Covers(0, 1));
  EXPECT_EQ(prepaid.TakeLaunches(), 3u);
  EXPECT_EQ(prepaid.TakeLaunches(), 0u);
}

TEST(PrepaidTest, AThreadThatEndsLeavesLessThanItUsed) {
  for (int launches = 1; launches < 1000; ++launches) {
    EXPECT_LE(Unused(launches), launches * kLaunchNs) << launches;
    EXPECT_LE(Unused(launches), Prepaid::kMostNs) << launches;
  }
}

TEST(PrepaidTest, OfManyShortLaunchesFewArePaidByThemselves) {
  Prepaid prepaid;
  int alone = 0;
  for (int i = 0; i < 10'000; ++i) {
    if (prepaid.Covers(0, 1)) {
      prepaid.Spend(1);
      continue;
    }
    ++alone;
    prepaid.Bought(prepaid.Wanted(1));
  }
  EXPECT_LT(alone, 200);
}

TEST(PrepaidTest, LongLaunchesAreNeverBoughtAhead) {
  Prepaid prepaid;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(prepaid.Wanted(Prepaid::kMostNs + 1), 0u);
}

TEST(PrepaidTest, ARefusedLaunchIsNotPaid) {
  Prepaid prepaid;
  prepaid.Bought(1000);
  prepaid.Spend(kLaunchNs);
  prepaid.Undo(kLaunchNs);
  EXPECT_EQ(prepaid.TakeLaunches(), 0u);
  EXPECT_TRUE(prepaid.Covers(0, kLaunchNs));
}

TEST(PrepaidTest, WhoLeavesACardTakesNothingAlong) {
  Prepaid prepaid;
  prepaid.Bought(2 * kLaunchNs);
  prepaid.Spend(kLaunchNs);
  EXPECT_EQ(prepaid.MoveTo(3), kLaunchNs);
  EXPECT_EQ(prepaid.device(), 3u);
  EXPECT_FALSE(prepaid.Covers(3, 1));
}

}  // namespace
}  // namespace hami::limiter::core
