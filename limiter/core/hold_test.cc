#include "limiter/core/hold.h"

#include <gtest/gtest.h>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

TEST(HoldTest, AMonitorThatNeverWroteAHeartbeatIsObeyedForEver) {
  EXPECT_FALSE(MonitorLost(0, 1));
  EXPECT_FALSE(MonitorLost(0, UINT64_MAX));
}

TEST(HoldTest, AMonitorIsLostTenSecondsAfterItsLastHeartbeat) {
  EXPECT_FALSE(MonitorLost(100 * kSecond, 110 * kSecond));
  EXPECT_TRUE(MonitorLost(100 * kSecond, 110 * kSecond + 1));
}

TEST(HoldTest, AHeartbeatOfAnotherBootCountsAsLost) {
  EXPECT_TRUE(MonitorLost(5000 * kSecond, 20 * kSecond));
  EXPECT_FALSE(MonitorLost(20 * kSecond + 1, 20 * kSecond));
}

TEST(HoldTest, MarkingActiveNeverOverwritesABlock) {
  for (const int32_t blocked : {-1, -2, INT32_MIN}) {
    int32_t word = blocked;
    MarkActive(word);
    EXPECT_EQ(word, blocked);
  }
  for (const int32_t free : {0, 1, 2, 7}) {
    int32_t word = free;
    MarkActive(word);
    EXPECT_EQ(word, 2);
  }
}

}  // namespace
}  // namespace hami::limiter::core
