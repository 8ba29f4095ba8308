#include "limiter/core/shared.h"

#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "abi/region_init.h"

namespace hami::limiter::core {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kKey = 0xabcdef0123456789u, kOther = 0x1234560123456789u;

class SharedTest : public ::testing::Test {
 protected:
  uint64_t Exchange(uint64_t key, uint64_t ns, double seconds, bool confirmed = false) {
    return shared_.Exchange(key, ns, kSecond + static_cast<uint64_t>(seconds * 1e9), confirmed).ns;
  }
  std::vector<HamiExtFunction> table_ = std::vector<HamiExtFunction>(16);
  SharedEstimates shared_{table_.data(), 16};
};

TEST_F(SharedTest, EachProcessTakesOutTheShortestThatAnyPutIn) {
  EXPECT_EQ(Exchange(kKey, 5000, 0), 5000u);
  EXPECT_EQ(Exchange(kKey, 1000, 0), 1000u);
  EXPECT_EQ(Exchange(kKey, 9000, 1), 1000u);
  EXPECT_EQ(Exchange(kOther, 7000, 1), 7000u);
  EXPECT_EQ(Exchange(0, 10, 1), 0u);
}

TEST_F(SharedTest, IsForgottenAfterEightToSixteenSeconds) {
  Exchange(kKey, 1000, 0);
  double now = 0;
  for (; Exchange(kKey, 5000, now) == 1000 && now < 60; now += 0.5) {
  }
  EXPECT_GE(now, 8);
  EXPECT_LE(now, 16);
}

TEST_F(SharedTest, IsKeptWhileNvmlConfirmsIt) {
  Exchange(kKey, 1000, 0);
  for (double now = 0; now < 100; now += 0.5) EXPECT_EQ(Exchange(kKey, 5000, now, true), 1000u);
  double now = 100;
  for (; Exchange(kKey, 5000, now) == 1000 && now < 160; now += 0.5) {
  }
  EXPECT_LE(now, 116);
}

TEST_F(SharedTest, AShortestThatNobodyAskedForInTwoSpansIsVoid) {
  Exchange(kKey, 1000, 0);
  EXPECT_EQ(Exchange(kKey, 5000, 17), 5000u);
}

TEST_F(SharedTest, IsMetByEightSamplesAboutAsShort) {
  const auto met = [this](uint64_t ns) { return shared_.Exchange(kKey, ns, kSecond, false).met; };
  for (int i = 0; i < 7; ++i) EXPECT_FALSE(met(100'000)) << i;
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(met(300'000));
  EXPECT_TRUE(met(101'000));
  EXPECT_FALSE(met(50'000));  // what was met was too long
}

// Of a machine that was started anew the clock begins at 0 again.
TEST_F(SharedTest, WhatIsFromBeforeARebootIsForgotten) {
  Exchange(kKey, 1000, 1e6);
  EXPECT_EQ(Exchange(kKey, 5000, 1), 5000u);
}

TEST_F(SharedTest, AFunctionThatNobodyUsedForAMinuteMakesRoom) {
  std::vector<uint64_t> keys;
  for (uint64_t i = 1; i <= 40; ++i) keys.push_back(i << 40 | i << 8);
  size_t known = 0;
  for (const uint64_t key : keys) known += Exchange(key, 1000, 0) != 0 ? 1 : 0;
  EXPECT_EQ(known, 16u);
  EXPECT_EQ(Exchange(kKey, 9000, 30), 0u);
  EXPECT_EQ(Exchange(kKey, 9000, 61), 9000u);  // not what its entry held for another function
}

TEST_F(SharedTest, ADurationThatDoesNotFitIsNotShared) {
  EXPECT_EQ(Exchange(kKey, uint64_t{1} << 36, 0), 0u);
  EXPECT_EQ(Exchange(kKey, (uint64_t{1} << 36) - 1, 0), (uint64_t{1} << 36) - 1);
  EXPECT_EQ(Exchange(kKey, 0, 0), 1u);
}

// The clock was read before another process began the span.
TEST_F(SharedTest, AMomentAgoIsNotBeforeAReboot) {
  Exchange(kKey, 1000, 20);
  EXPECT_EQ(Exchange(kKey, 5000, 19.999), 1000u);
}

TEST_F(SharedTest, AnyWordsAreBorne) {
  for (uint64_t pattern : {~uint64_t{0}, uint64_t{0x8000000000000000u}, uint64_t{1}}) {
    for (HamiExtFunction& entry : table_) entry = {pattern, pattern, ~pattern, pattern};
    Exchange(kKey, 1000, 0);
    Exchange(pattern, 1000, 0);
  }
}

TEST_F(SharedTest, ProcessesThatRaceAgreeOnTheShortest) {
  std::vector<std::thread> threads;
  for (uint64_t t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (uint64_t i = 0; i < 20'000; ++i) {
        shared_.Exchange(kKey, 2000 + (i * 7919 + t) % 1000, kSecond, false);
        shared_.Exchange(kOther, 8000 + (i * 7919 + t) % 1000, kSecond, false);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(Exchange(kKey, 9999, 0), 2000u);
  EXPECT_EQ(Exchange(kOther, 9999, 0), 8000u);
}

TEST(SharedOfRegionTest, AFileWithoutRoomSharesNothing) {
  const auto region = std::make_unique<HamiRegion>();
  EXPECT_EQ(SharedEstimates::Of(*region).Exchange(kKey, 1000, kSecond, false).ns, 0u);
  const HamiRegionSeed seed = {};
  HamiInitRegion(region.get(), &seed);
  EXPECT_EQ(SharedEstimates::Of(*region).Exchange(kKey, 1000, kSecond, false).ns, 1000u);
  region->ext.header.functions_offset += 8;
  EXPECT_EQ(SharedEstimates::Of(*region).Exchange(kKey, 1000, kSecond, false).ns, 0u);
}

}  // namespace
}  // namespace hami::limiter::core
