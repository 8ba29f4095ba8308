#include "limiter/core/estimate.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

namespace hami::limiter::core {
namespace {

class EstimateTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kSize = 8;
  std::unique_ptr<Functions> functions_ = std::make_unique<Functions>();
};

TEST_F(EstimateTest, IsUnknownUntilTheFirstSample) {
  Function& f = functions_->Find(1, kSize);
  EXPECT_EQ(f.estimate_ns(), 0u);
  f.Learn(1000, 0);
  EXPECT_EQ(f.estimate_ns(), 1000u);
}

TEST_F(EstimateTest, IsTheShortestSampleBecauseOthersOnlyLengthenOne) {
  Function& f = functions_->Find(1, kSize);
  for (const uint64_t ns : {5000, 9000, 1000, 30000, 8000}) f.Learn(ns, 0);
  EXPECT_EQ(f.estimate_ns(), 1000u);
}

// A process that never runs alone on the card sees its kernels with others' work in between only.
TEST_F(EstimateTest, IsTheShortestThatAnyProcessOfTheContainerSaw) {
  Function& f = functions_->Find(1, kSize);
  f.Learn(5000, 0, false, {5000, false});
  const Function::Learned learned = f.Learn(5000, 0, false, {1000, false});
  EXPECT_EQ(learned.before_ns, 5000u);
  EXPECT_EQ(f.estimate_ns(), 1000u);
  EXPECT_FALSE(f.steady());
  f.Learn(5000, 0, false, {1000, true});
  EXPECT_TRUE(f.steady());
  f.Learn(900, 0, false, {1000, true});  // shorter than what the others met
  EXPECT_EQ(f.estimate_ns(), 900u);
  EXPECT_FALSE(f.steady());
}

constexpr uint64_t kSecond = 1'000'000'000;

TEST_F(EstimateTest, FollowsAFunctionThatBecomesLongerAfterEightSecondsAndGroups) {
  Function& f = functions_->Find(1, kSize);
  uint64_t now = 0;
  for (int i = 0; i < 1000; ++i) f.Learn(1000, now += kSecond / 100);
  for (int i = 0; i < 690; ++i) f.Learn(5000, now += kSecond / 100);
  EXPECT_EQ(f.estimate_ns(), 1000u);
  for (int i = 0; i < 310; ++i) f.Learn(5000, now += kSecond / 100);
  EXPECT_EQ(f.estimate_ns(), 5000u);
}

TEST_F(EstimateTest, ARareFunctionKeepsItsShortestOf64SamplesHoweverLongTheyTake) {
  Function& f = functions_->Find(1, kSize);
  uint64_t now = 0;
  f.Learn(1000, now);
  for (int i = 0; i < 56; ++i) f.Learn(5000, now += 60 * kSecond);
  EXPECT_EQ(f.estimate_ns(), 1000u);
}

TEST_F(EstimateTest, FollowsAFunctionThatBecomesShorterAtOnce) {
  Function& f = functions_->Find(1, kSize);
  for (uint64_t i = 0; i < 100; ++i) f.Learn(5000, i * kSecond);
  f.Learn(1000, 101 * kSecond);
  EXPECT_EQ(f.estimate_ns(), 1000u);
}

TEST_F(EstimateTest, LaunchesChargedAtAGuessAreSettledByTheFirstSample) {
  Function& f = functions_->Find(1, kSize);
  EXPECT_TRUE(f.TakeGuess());
  f.Guessed(50'000);
  EXPECT_FALSE(f.TakeGuess());
  f.Guessed(50'000);  // after a wait in vain
  EXPECT_EQ(f.Learn(20'000'000, 0).missing_ns, 2 * 20'000'000 - 2 * 50'000);
  EXPECT_EQ(f.Learn(20'000'000, 0).missing_ns, 0);
}

// TRAP: four threads that wait for time together all went on at a guess.
TEST_F(EstimateTest, OneLaunchAtATimeGoesOnAtAGuess) {
  Function& f = functions_->Find(1, kSize);
  EXPECT_TRUE(f.TakeGuess());
  EXPECT_FALSE(f.TakeGuess());
  f.DropGuess();  // the driver refused it
  EXPECT_TRUE(f.TakeGuess());
}

TEST_F(EstimateTest, AnEstimateThatSeveralSamplesMeetIsSteady) {
  Function& f = functions_->Find(1, kSize);
  for (const uint64_t ns : {1'300'000, 1'020'000, 2'000'000, 1'000'000, 1'600'000}) {
    f.Learn(ns, 0);
    EXPECT_FALSE(f.steady()) << ns;
  }
  f.Learn(1'010'000, 0);
  EXPECT_TRUE(f.steady());
  f.Learn(500'000, 0);  // what was met was too long
  EXPECT_FALSE(f.steady());
}

TEST_F(EstimateTest, AFunctionThatNeverEndsIsNotWaitedForForEver) {
  Function& f = functions_->Find(1, kSize);
  for (uint32_t i = 0; i < Function::kMostWaits; ++i) {
    EXPECT_TRUE(f.worth_waiting());
    f.WaitedInVain();
  }
  EXPECT_FALSE(f.worth_waiting());
}

TEST_F(EstimateTest, TooHighAGuessIsGivenBack) {
  Function& f = functions_->Find(1, kSize);
  f.Guessed(50'000);
  EXPECT_EQ(f.Learn(10'000, 0).missing_ns, -40'000);
}

TEST_F(EstimateTest, OneFunctionWithLaunchesOfOtherSizesIsAnother) {
  std::set<Function*> seen;
  for (const uint32_t threads : {1u, 128u, 1u << 20}) {
    seen.insert(&functions_->Find(7, SizeClass(threads)));
  }
  seen.insert(&functions_->Find(7, 0));
  EXPECT_EQ(seen.size(), 4u);
  EXPECT_EQ(&functions_->Find(7, SizeClass(128)), &functions_->Find(7, SizeClass(129)));
  EXPECT_EQ(SizeClass(0), 1u);
  EXPECT_EQ(SizeClass(~uint64_t{0}), 64u);
}

TEST_F(EstimateTest, MoreFunctionsThanRoomShareOneEntry) {
  std::set<Function*> seen;
  for (uint64_t f = 1; f <= 5000; ++f) seen.insert(&functions_->Find(f << 4, kSize));
  EXPECT_GT(seen.size(), 1500u);
  EXPECT_LT(seen.size(), 2100u);
  for (uint64_t f = 1; f <= 5000; ++f) EXPECT_EQ(seen.count(&functions_->Find(f << 4, kSize)), 1u);
}

TEST_F(EstimateTest, ShortStableFunctionsAreSampledOncePer1024LaunchesOnAverage) {
  Function& f = functions_->Find(1, kSize);
  f.Learn(1000, 0);
  int samples = 0;
  for (uint32_t i = 0; i < 256'000; ++i) samples += f.CountLaunch(i * 2654435761u >> 7) ? 1 : 0;
  EXPECT_NEAR(samples, 250, 40);
}

TEST_F(EstimateTest, LongFunctionsAreSampledEachTime) {
  Function& f = functions_->Find(1, kSize);
  f.Learn(20'000'000, 0);
  for (uint32_t i = 0; i < 1000; ++i) ASSERT_TRUE(f.CountLaunch(i));
}

TEST_F(EstimateTest, AShorterSampleTellsHowManyLaunchesTheLongerEstimateChargedTooMuch) {
  Function& f = functions_->Find(1, kSize);
  f.Learn(50'000, 0);
  for (uint32_t i = 0; i < 10; ++i) f.CountLaunch(i);
  EXPECT_EQ(f.Learn(60'000, 0).overcharged, 0u);
  const Function::Learned learned = f.Learn(20'000, 0);
  EXPECT_EQ(learned.overcharged, 10u);
  EXPECT_EQ(learned.before_ns, 50'000u);
  EXPECT_EQ(learned.after_ns, 20'000u);
}

TEST_F(EstimateTest, EachShorterSampleCountsTheLaunchesOfTheLastSecondsAgain) {
  Function& f = functions_->Find(1, kSize);
  f.Learn(50'000, 0);
  for (uint32_t i = 0; i < 100; ++i) f.CountLaunch(i);
  EXPECT_EQ(f.Learn(20'000, 0).overcharged, 100u);
  EXPECT_EQ(f.Learn(10'000, kSecond).overcharged, 75u);
  EXPECT_EQ(f.Learn(9'000, 60 * kSecond).overcharged, 3u);  // a rare launch's own share stays
}

TEST_F(EstimateTest, LaunchesBeforeTheEstimateBecameLongerWereNotChargedTooMuch) {
  Function& f = functions_->Find(1, kSize);
  uint64_t now = 0;
  f.Learn(1000, now);
  for (uint32_t i = 0; i < 100; ++i) f.CountLaunch(i);
  for (int i = 0; i < 2000 && f.estimate_ns() == 1000; ++i) f.Learn(5000, now += kSecond / 100);
  ASSERT_EQ(f.estimate_ns(), 5000u);
  for (uint32_t i = 0; i < 10; ++i) f.CountLaunch(i);
  EXPECT_EQ(f.Learn(1000, now).overcharged, 10u);
}

TEST_F(EstimateTest, WhatNvmlConfirmsIsNotForgotten) {
  Function& f = functions_->Find(1, kSize);
  uint64_t now = 0;
  f.Learn(1000, now);
  for (int i = 0; i < 10'000; ++i) f.Learn(5000, now += kSecond / 100, true);
  EXPECT_EQ(f.estimate_ns(), 1000u);
  for (int i = 0; i < 1000; ++i) f.Learn(5000, now += kSecond / 100, false);
  EXPECT_EQ(f.estimate_ns(), 5000u);
}

TEST_F(EstimateTest, LaunchesAtAGuessAreAmongThoseThatALongEstimateChargedTooMuch) {
  Function& f = functions_->Find(1, kSize);
  f.CountLaunch(0);
  f.Guessed(50'000);
  EXPECT_EQ(f.Learn(160'000, 0).missing_ns, 110'000);
  EXPECT_EQ(f.Learn(20'000, 0).overcharged, 1u);
}

TEST_F(EstimateTest, TheGuessFollowsWhatRuns) {
  EXPECT_EQ(functions_->guess_ns(), Functions::kFirstGuessNs);
  for (int i = 0; i < 100; ++i) functions_->Ran(3'000'000);
  EXPECT_NEAR(static_cast<double>(functions_->guess_ns()), 3e6, 1e5);
}

}  // namespace
}  // namespace hami::limiter::core
