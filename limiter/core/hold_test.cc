#include "limiter/core/hold.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

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

// TRAP A5: in the reference a launch that has passed the check erases a block that came meanwhile.
// Many blocks are set into the midst of others' launches; none may be gone.
TEST(HoldTest, TrapA5_ABlockBetweenALaunchsCheckAndItsMarkStays) {
  int32_t word = 2;
  std::atomic_ref shared(word);
  std::atomic<bool> end{false};
  std::vector<std::jthread> launchers;
  for (int i = 0; i < 2; ++i) {
    launchers.emplace_back([&] {
      while (!end.load(std::memory_order_relaxed)) MarkActive(word);
    });
  }
  // Until launches have been met often enough, whatever else the machine does.
  int lost = 0, met = 0;
  for (int block = 0; met < 5'000 && block < 5'000'000; ++block) {
    shared.store(block % 2);  // as aged by the monitor, so that a launch has something to mark
    for (int wait = block % 64; wait > 0; --wait) shared.load(std::memory_order_relaxed);
    met += shared.exchange(-1) == 2;
    for (int look = 0; look < 40; ++look) lost += shared.load() != -1;
  }
  end = true;
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace hami::limiter::core
