#include "limiter/core/bucket.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kMs = 1'000'000;
constexpr uint64_t kSecond = 1'000 * kMs;

// A program on a card of its own that does one kernel after the other, on a clock that only moves
// when somebody waits: pure arithmetic.
struct Simulation {
  uint32_t percent = 50;
  uint64_t now = kSecond;
  uint64_t busy = 0;
  uint64_t wake_late_ns = 0;  // what a machine adds to each wait
  HamiExtDevice device = {};

  void RunUntil(uint64_t end, const std::vector<uint64_t>& kernels, double estimate = 1.0) {
    Bucket bucket(device);
    bucket.Refill(now, percent);
    for (size_t i = 0; now < end;) {
      const uint64_t kernel = kernels[i % kernels.size()];
      bucket.Refill(now, percent);
      if (bucket.TrySpend(static_cast<int64_t>(static_cast<double>(kernel) * estimate))) {
        now += kernel;
        busy += kernel;
        ++i;
      } else {
        now += bucket.WaitNs(percent) + wake_late_ns;
      }
    }
  }
  double SharePercent(uint64_t from, uint64_t busy_before) const {
    return 100.0 * static_cast<double>(busy - busy_before) / static_cast<double>(now - from);
  }
};

class EveryShare : public ::testing::TestWithParam<std::tuple<uint32_t, uint64_t, uint64_t>> {};

TEST_P(EveryShare, IsTheLimitWhateverKernelsAndLateWakeUps) {
  const auto [percent, kernel, late] = GetParam();
  Simulation run;
  run.percent = percent;
  run.wake_late_ns = late;
  run.RunUntil(3 * kSecond, {kernel});
  const uint64_t from = run.now, before = run.busy;
  run.RunUntil(from + 10 * kSecond, {kernel});
  EXPECT_NEAR(run.SharePercent(from, before), percent, 0.3 + static_cast<double>(kernel) / 5e7);
}
INSTANTIATE_TEST_SUITE_P(Matrix, EveryShare,
                         ::testing::Combine(::testing::Values(1, 5, 10, 25, 50, 75, 90, 99),
                                            ::testing::Values(5'000, 20'000, kMs, 20 * kMs),
                                            ::testing::Values(0, 60'000, 5 * kMs)));

TEST(BucketTest, MixedKernelsGetTheLimitToo) {
  Simulation run;
  run.percent = 30;
  run.RunUntil(11 * kSecond, {20'000, 100'000, kMs, 20 * kMs});
  EXPECT_NEAR(run.SharePercent(kSecond, 0), 30, 0.3);
}

TEST(BucketTest, IdleTimeIsCreditedForATenthOfASecondAtMost) {
  Simulation run;
  run.RunUntil(2 * kSecond, {kMs});
  run.now += 60 * kSecond;
  const uint64_t from = run.now, before = run.busy;
  run.RunUntil(from + kSecond, {kMs});
  // 100 ms of credit at 50 %: 50 ms of device time more than the 500 ms of the second itself.
  EXPECT_NEAR(run.SharePercent(from, before), 55, 0.5);
}

TEST(BucketTest, MoreIsCreditedWhereAllowed) {
  HamiExtDevice words{};
  constexpr int64_t kCredit = 200'000'000;
  Bucket bucket(words, kCredit);
  bucket.Refill(1, 50);
  bucket.Refill(10'000'000'000, 50);
  EXPECT_EQ(bucket.tokens(), kCredit / 2);
  bucket.Spend(kCredit / 2);
  Bucket(words).Refill(20'000'000'000, 50);
  EXPECT_EQ(bucket.tokens(), Bucket::kCreditNs / 2);
}

TEST(BucketTest, DebtIsPaidInFull) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Refill(kSecond, 10);
  bucket.Spend(5 * static_cast<int64_t>(kSecond));
  EXPECT_EQ(bucket.WaitNs(10), 50 * kSecond + Bucket::kQuantumNs);
  bucket.Refill(40 * kSecond, 10);
  EXPECT_FALSE(bucket.TrySpend(1));
  bucket.Refill(52 * kSecond, 10);
  EXPECT_TRUE(bucket.TrySpend(1));
}

TEST(BucketTest, AnAbsurdEstimateCostsTwentySecondsOfDeviceTimeAtMost) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Spend(int64_t{1} << 60);
  EXPECT_EQ(bucket.tokens(), -Bucket::kDebtNs);
}

TEST(BucketTest, AFileFromBeforeARebootIsNotAFortune) {
  HamiExtDevice device = {};
  device.core_refill_ns = 500 * kSecond;  // the clock began anew
  Bucket bucket(device);
  bucket.Refill(kSecond, 50);
  EXPECT_EQ(bucket.tokens(), 0);
  bucket.Refill(kSecond + 10 * kMs, 50);
  EXPECT_EQ(bucket.tokens(), static_cast<int64_t>(5 * kMs));
}

TEST(BucketTest, TheFirstRefillOfAFileGivesNothing) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Refill(1000 * kSecond, 50);
  EXPECT_EQ(bucket.tokens(), 0);
}

TEST(BucketTest, ALoweredLimitTakesTheCreditAway) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Refill(kSecond, 90);
  bucket.Refill(2 * kSecond, 90);
  EXPECT_EQ(bucket.tokens(), static_cast<int64_t>(90 * kMs));
  bucket.Lower(0);
  EXPECT_EQ(bucket.tokens(), 0);
  bucket.Spend(static_cast<int64_t>(kMs));
  bucket.Lower(0);
  EXPECT_EQ(bucket.tokens(), -static_cast<int64_t>(kMs));
}

TEST(BucketTest, TokensNeverOverflowAfterYearsOfIdleness) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Refill(1, 99);
  bucket.Refill(UINT64_MAX / 2, 99);
  EXPECT_EQ(bucket.tokens(), Bucket::kCreditNs * 99 / 100);
}

TEST(BucketTest, WhatIsGivenBackFillsItAndNoMore) {
  HamiExtDevice device = {};
  Bucket bucket(device);
  bucket.Spend(100'000'000);
  bucket.GiveBack(30'000'000, 25);
  EXPECT_EQ(bucket.tokens(), -70'000'000);
  bucket.GiveBack(1'000'000'000, 25);
  EXPECT_EQ(bucket.tokens(), Bucket::kCreditNs / 4);
  bucket.Spend(-1'000'000'000);  // a higher limit's credit is left alone
  const int64_t before = bucket.tokens();
  bucket.GiveBack(1, 25);
  EXPECT_EQ(bucket.tokens(), before);
}

}  // namespace
}  // namespace hami::limiter::core
