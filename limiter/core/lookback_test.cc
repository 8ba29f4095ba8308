#include "limiter/core/lookback.h"

#include <gtest/gtest.h>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kSecond = 1'000'000;  // in microseconds, as all times here
constexpr uint64_t kStart = 1'700'000'000 * kSecond;

// Looks once a second at a process that launches 100 times 1 ms in the first second, 200 times in
// the second one, and so on.
class Looks {
 public:
  Looks() { lookback.Begin(kStart, {}); }
  void Next() {
    ++seconds_;
    totals.launches += seconds_ * 100;
    totals.launched_ns = totals.launches * 1'000'000;
    lookback.Add(now(), totals);
  }
  std::optional<Period> Take(uint64_t newest_us) { return lookback.Take(now(), newest_us); }
  uint64_t now() const { return kStart + seconds_ * kSecond; }

  Lookback lookback;
  Totals totals;

 private:
  uint64_t seconds_ = 0;
};

TEST(LookbackTest, WithoutDelayAPeriodIsWhatWasLaunchedSinceTheLookBefore) {
  Looks looks;
  for (uint64_t second = 1; second < 20; ++second) {
    looks.Next();
    const auto period = looks.Take(looks.now() + 30);  // NVML looks after we did
    ASSERT_TRUE(period);
    EXPECT_EQ(period->launches, second * 100);
    EXPECT_EQ(period->raw_ns, static_cast<int64_t>(second) * 100'000'000);
    EXPECT_EQ(period->elapsed_ns, kSecond * 1000);
    EXPECT_TRUE(period->settled);
    EXPECT_EQ(looks.lookback.since_us(), looks.now());
  }
}

TEST(LookbackTest, WhatNvmlShowsLateIsComparedWithWhatWasLaunchedThen) {
  Looks looks;
  looks.Next();
  EXPECT_FALSE(looks.Take(looks.now() - kSecond / 2));  // half a second is too little
  EXPECT_EQ(looks.lookback.since_us(), kStart);         // and is asked for again
  looks.Next();
  const auto period = looks.Take(looks.now() - kSecond / 2);
  ASSERT_TRUE(period);
  EXPECT_EQ(period->elapsed_ns, kSecond * 1500);
  EXPECT_EQ(period->launches, 100u + 100u);  // all of the first second, half of the second one
  EXPECT_EQ(looks.lookback.since_us(), looks.now() - kSecond / 2);
}

// What samples of a second took back of its launches is taken back in the period of that second.
TEST(LookbackTest, WhatWasLearnedInAWhileIsOfItsPeriod) {
  Looks looks;
  looks.Next();
  ASSERT_FALSE(looks.Take(looks.now() - kSecond / 2));
  looks.totals.learned_ns -= 30'000'000;  // samples of the next second were shorter
  looks.Next();
  auto period = looks.Take(looks.now() - kSecond / 2);
  ASSERT_TRUE(period);
  EXPECT_EQ(period->raw_ns, 200'000'000 - 15'000'000);
  looks.Next();
  period = looks.Take(looks.now() - kSecond / 2);
  ASSERT_TRUE(period);
  EXPECT_EQ(period->raw_ns, 250'000'000 - 15'000'000);  // the rest, once
}

TEST(LookbackTest, APeriodThatBeganBeforeKWasMovedSaysSo) {
  Looks looks;
  looks.Next();
  looks.Next();
  ASSERT_TRUE(looks.Take(looks.now() - kSecond));
  looks.lookback.Moved(looks.now());
  looks.Next();
  auto period = looks.Take(looks.now() - kSecond);  // ends where k was moved
  ASSERT_TRUE(period);
  EXPECT_FALSE(period->settled);
  looks.Next();
  period = looks.Take(looks.now() - kSecond);
  ASSERT_TRUE(period);
  EXPECT_TRUE(period->settled);
}

// Nobody was busy, or the next sample comes right after the look: it may be as late as they were.
TEST(LookbackTest, NothingShownIsNothingASecondAgo) {
  Looks looks;
  looks.Next();
  EXPECT_FALSE(looks.Take(0));
  looks.Next();
  auto period = looks.Take(0);
  ASSERT_TRUE(period);
  EXPECT_EQ(period->launches, 100u);
  looks.Next();
  ASSERT_TRUE(looks.Take(looks.now() - kSecond / 2));
  looks.Next();
  EXPECT_FALSE(looks.Take(0));
  looks.Next();
  period = looks.Take(0);
  ASSERT_TRUE(period);
  EXPECT_NEAR(static_cast<double>(period->elapsed_ns), 1.1e9, 0.1e9);
}

TEST(LookbackTest, WaitsThatWereOverBeforeAreNotOfAPeriod) {
  Looks looks;
  looks.totals.waited = true;
  looks.Next();
  auto period = looks.Take(looks.now());
  ASSERT_TRUE(period);
  EXPECT_TRUE(period->waited);
  looks.totals.waited = false;
  looks.Next();
  period = looks.Take(looks.now());
  ASSERT_TRUE(period);
  EXPECT_FALSE(period->waited);
  looks.totals.waited = true;
  looks.Next();
  EXPECT_FALSE(looks.Take(looks.now() - kSecond));
  looks.totals.waited = false;
  looks.Next();
  period = looks.Take(looks.now() - kSecond);
  ASSERT_TRUE(period);
  EXPECT_TRUE(period->waited);  // in the second before the last
}

TEST(LookbackTest, StampsOfAnotherClockSayNothing) {
  for (const uint64_t stamp : {uint64_t{77}, kStart + 3600 * kSecond, UINT64_MAX}) {
    Looks looks;
    looks.Next();
    const auto period = looks.Take(stamp);
    ASSERT_TRUE(period) << stamp;
    EXPECT_EQ(period->launches, 100u);
  }
}

TEST(LookbackTest, NvmlThatWasNotAskedForMinutesIsAskedForTheLastSeconds) {
  Looks looks;
  for (int i = 0; i < 100; ++i) {
    if (i < 3) looks.totals.learned_ns -= 50'000'000;  // long ago
    looks.Next();
  }
  EXPECT_EQ(looks.lookback.since_us(), looks.now() - 4 * kSecond);
  const auto period = looks.Take(looks.now());
  ASSERT_TRUE(period);
  EXPECT_EQ(period->elapsed_ns, 4 * kSecond * 1000);
  EXPECT_EQ(period->launches, 100u * (97 + 98 + 99 + 100));
  EXPECT_EQ(period->raw_ns, static_cast<int64_t>(period->launches) * 1'000'000);
}

TEST(LookbackTest, APauseBeginsAnew) {
  Looks looks;
  looks.Next();
  looks.Next();
  looks.totals.learned_ns += 1000;
  looks.lookback.Begin(looks.now(), looks.totals);
  looks.Next();
  const auto period = looks.Take(looks.now());
  ASSERT_TRUE(period);
  EXPECT_EQ(period->launches, 300u);
  EXPECT_EQ(period->raw_ns, 300'000'000);
}

TEST(LookbackTest, SecondsWithoutLaunchesAreNotAskedFor) {
  Looks looks;
  looks.Next();
  ASSERT_TRUE(looks.Take(looks.now()));
  for (int i = 1; i <= 3; ++i) {
    looks.lookback.Add(looks.now() + static_cast<uint64_t>(i) * kSecond, looks.totals);
    looks.lookback.Pass(looks.now() + static_cast<uint64_t>(i) * kSecond);
  }
  EXPECT_EQ(looks.lookback.since_us(), looks.now() + 3 * kSecond);
}

}  // namespace
}  // namespace hami::limiter::core
