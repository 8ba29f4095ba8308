#include "platform/kube/rate_limiter.h"

#include <gtest/gtest.h>

namespace hami::kube {
namespace {

using std::chrono::milliseconds;

TEST(RateLimiterTest, GivesTheBurstAtOnceThenTheRate) {
  MonoTime now{};
  RateLimiter limiter(10, 3, now);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limiter.TryTake(now));
  EXPECT_FALSE(limiter.TryTake(now));
  EXPECT_EQ(limiter.NextAt(now), now + milliseconds(100));
  EXPECT_FALSE(limiter.TryTake(now + milliseconds(99)));
  EXPECT_TRUE(limiter.TryTake(now + milliseconds(100)));
}

TEST(RateLimiterTest, SavesNoMoreThanTheBurst) {
  MonoTime now{};
  RateLimiter limiter(10, 2, now);
  now += std::chrono::hours(1);
  EXPECT_TRUE(limiter.TryTake(now));
  EXPECT_TRUE(limiter.TryTake(now));
  EXPECT_FALSE(limiter.TryTake(now));
}

// Rounding down would wake the pump a moment too early, again and again.
TEST(RateLimiterTest, NextAtIsNeverTooEarly) {
  for (double qps : {0.3, 3.0, 7.0, 200.0, 999.0}) {
    MonoTime now{};
    RateLimiter limiter(qps, 1, now);
    for (int i = 0; i < 100; ++i) {
      now = limiter.NextAt(now);
      ASSERT_TRUE(limiter.TryTake(now)) << qps << " " << i;
    }
  }
}

TEST(RateLimiterTest, ZeroMeansNoLimit) {
  MonoTime now{};
  RateLimiter limiter(0, 0, now);
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(limiter.TryTake(now));
  EXPECT_EQ(limiter.NextAt(now), now);
}

}  // namespace
}  // namespace hami::kube
