#include "limiter/core/feedback.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr double kOne = Feedback::kOne;

// Charged `charged_ns` by estimates times k.
uint32_t Add(Feedback& feedback, uint32_t k, uint32_t measured, uint64_t charged_ns,
             uint64_t launches = 1'000'000) {
  return feedback
      .Add(k, measured,
           {.elapsed_ns = kSecond,
            .raw_ns = static_cast<int64_t>(charged_ns * Feedback::kOne / k),
            .launches = launches})
      .k;
}

// A thousand launches that take `raw_ns` by their estimates.
uint32_t Raw(Feedback& feedback, uint32_t k, uint32_t measured, int64_t raw_ns) {
  return feedback.Add(k, measured, {.elapsed_ns = kSecond, .raw_ns = raw_ns, .launches = 1000}).k;
}

// A process that the limit holds at `limit` percent by its own account, whose estimates are
// `wrong` times the truth: what the card shows is limit / (wrong * k).
double ShareAfter(Feedback& feedback, double limit, double wrong, int seconds) {
  double k = 1, share = 0;
  for (int i = 0; i < seconds; ++i) {
    share = std::min(100.0, limit / (wrong * k));
    const double charged = share * wrong * k / 100;
    k = Add(feedback, static_cast<uint32_t>(k * kOne), static_cast<uint32_t>(share + 0.5),
            static_cast<uint64_t>(charged * static_cast<double>(kSecond))) /
        kOne;
  }
  return share;
}

class EveryError : public ::testing::TestWithParam<std::tuple<double, double>> {};

TEST_P(EveryError, OfTheEstimatesIsCorrectedWithinTenSeconds) {
  const auto [limit, wrong] = GetParam();
  Feedback feedback;
  // The edge of what a percent shows, and what a tenfold error leaves of it.
  EXPECT_NEAR(ShareAfter(feedback, limit, wrong, 10), limit, 1.0 + wrong / 20);
}
INSTANTIATE_TEST_SUITE_P(Matrix, EveryError,
                         ::testing::Combine(::testing::Values(5, 10, 25, 50, 75, 90),
                                            ::testing::Values(0.5, 0.9, 1, 1.3, 2, 4, 10)));

TEST(FeedbackTest, AgreementWithinHalfAPointMovesNothing) {
  Feedback feedback;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(Add(feedback, Feedback::kOne, 30, kSecond * 304 / 1000), Feedback::kOne);
  }
}

TEST(FeedbackTest, LoweredAfterOnePeriodAndRaisedAfterTwo) {
  Feedback feedback;
  EXPECT_TRUE(feedback.fresh());
  EXPECT_LT(Add(feedback, Feedback::kOne, 10, kSecond), Feedback::kOne);
  EXPECT_FALSE(feedback.fresh());
  // The first launch is charged at a guess, and its true cost when its sample is there.
  Feedback other;
  EXPECT_EQ(Add(other, Feedback::kOne, 1, 50'000), Feedback::kOne);
  EXPECT_GT(Add(other, Feedback::kOne, 100, kSecond / 10), Feedback::kOne);
}

// Launched 45 %, but what waits on the card grows by `queued` of it, so that NVML shows the rest.
uint32_t Queued(Feedback& feedback, uint32_t k, int64_t queued, bool known) {
  const int64_t percent = int64_t{kSecond} / 100;
  return feedback
      .Add(k, static_cast<uint32_t>(45 - queued),
           {.elapsed_ns = kSecond,
            .raw_ns = 45 * percent,
            .queued_ns = known ? queued * percent : 0,
            .launches = 450})
      .k;
}

// Beside a busy neighbour the card is behind by more each second, then makes up for it: k was
// lowered for what was not wrong, and the limit exceeded by 3 points when the queue was run.
TEST(FeedbackTest, WhatStillWaitsOnTheCardIsNoErrorOfTheEstimates) {
  Feedback feedback, unaware;
  uint32_t k = Feedback::kOne, lowered = k;
  for (int second = 0; second < 4; ++second) {
    k = Queued(feedback, k, 7, true);
    ASSERT_EQ(k, Feedback::kOne) << second;
    lowered = Queued(unaware, lowered, 7, false);
  }
  EXPECT_LT(lowered, Feedback::kOne * 9 / 10);  // the test can fail
  for (int second = 0; second < 10; ++second) {
    k = Queued(feedback, k, second < 4 ? -7 : 0, true);
    ASSERT_EQ(k, Feedback::kOne) << second;
  }
}

// Estimates were ten times too long until a better sample came: nothing is left to correct.
TEST(FeedbackTest, WhatABetterSampleTookBackIsNotCorrectedAgain) {
  Feedback feedback;
  const auto kTooLong = static_cast<int64_t>(kSecond / 2), kTrue = kTooLong / 10;
  ASSERT_LT(Raw(feedback, Feedback::kOne, 5, kTooLong), Feedback::kOne);  // back with the sample
  for (int i = 0; i < 10; ++i) {
    const int64_t raw = i == 0 ? kTrue - (kTooLong - kTrue) : kTrue;
    EXPECT_EQ(Raw(feedback, Feedback::kOne, 5, raw), Feedback::kOne) << i;
  }
}

// A launch of 40 ms ends in this period or in the next one: NVML and the charges are apart by it,
// now this way, now that.
TEST(FeedbackTest, LongLaunchesThatFallIntoTheNextPeriodMoveNothing) {
  Feedback feedback;
  constexpr uint64_t kLaunch = kSecond / 25;
  for (int i = 0; i < 50; ++i) {
    const uint32_t measured = i % 2 == 0 ? 52 : 48;
    const uint64_t charged = i % 2 == 0 ? 12 * kLaunch : 13 * kLaunch;
    ASSERT_EQ(Add(feedback, Feedback::kOne, measured, charged, charged / kLaunch), Feedback::kOne);
  }
}

TEST(FeedbackTest, LongLaunchesThatAreChargedFarTooMuchAreCorrected) {
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int i = 0; i < 20; ++i) {
    const uint64_t charged = kSecond / 2 * k / Feedback::kOne;
    k = Add(feedback, k, 5, charged, 1);
  }
  EXPECT_LT(k, Feedback::kOne / 3);
}

// What is queued behind others' work is charged now and shown by NVML later.
TEST(FeedbackTest, ACorrectionOfTheFirstSecondsDoesNotStay) {
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int i = 0; i < 2; ++i) k = Raw(feedback, k, 2, kSecond / 10);
  EXPECT_LT(k, Feedback::kOne);
  for (int i = 0; i < 10; ++i) k = Raw(feedback, k, 10, kSecond / 10);
  EXPECT_EQ(k, Feedback::kOne);
}

// Eight processes that are each half a point above their part: seen where NVML's percent swings.
TEST(FeedbackTest, WhatSwingsIsRoundedBothWaysAndCanBeToldMoreExactly) {
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int i = 0; i < 40; ++i) {
    const uint32_t measured = i % 2 == 0 ? 2 : 5;  // 3.5 in the middle
    const int64_t raw = static_cast<int64_t>(kSecond) / 1000 * (i % 2 == 0 ? 16 : 46);
    k = std::max(k, Raw(feedback, k, measured, raw));
  }
  EXPECT_GT(k, Feedback::kOne);
}

TEST(FeedbackTest, EstimatesAreConfirmedWhileNvmlShowsNoMoreThanTheySay) {
  Feedback feedback;
  EXPECT_FALSE(feedback.confirms());
  for (int i = 0; i < 2; ++i) Add(feedback, Feedback::kOne, 3, kSecond / 10);
  EXPECT_TRUE(feedback.confirms());
  for (int i = 0; i < 10; ++i) Add(feedback, Feedback::kOne, 12, kSecond / 10);
  EXPECT_FALSE(feedback.confirms());
  feedback.Restart();
  EXPECT_FALSE(feedback.confirms());
}

// Eight processes begin with a kernel of 40 ms at once: each takes the others' for its own. None
// launches again before the container's debt is paid, which at 5 % would take half a minute.
TEST(FeedbackTest, TheDebtOfFirstSamplesThatOthersLengthenedIsForgiven) {
  Feedback feedback;
  constexpr int64_t kCharged = 320'000'000, kTrue = 40'000'000;
  uint64_t debt = 8 * 180'000'000, given = 0;
  for (int second = 0; second < 4; ++second) {
    const Period period = {.elapsed_ns = kSecond,
                           .raw_ns = second == 0 ? kCharged : 0,
                           .launches = second == 0 ? 1u : 0u,
                           .debt_ns = debt};
    const uint64_t now = feedback.Add(Feedback::kOne, second == 0 ? 4 : 0, period).give_back_ns;
    given += now;
    debt -= now;
  }
  EXPECT_GT(given, uint64_t{kCharged - kTrue} * 2 / 3);
  EXPECT_LE(given, uint64_t{kCharged - kTrue});
}

TEST(FeedbackTest, NoMoreIsGivenBackThanIsOwed) {
  Feedback feedback;
  for (int second = 0; second < 10; ++second) {
    const auto correction = feedback.Add(
        Feedback::kOne, 1,
        {.elapsed_ns = kSecond, .raw_ns = kSecond / 2, .launches = 10, .debt_ns = 1'000'000});
    ASSERT_LE(correction.give_back_ns, 1'000'000u) << second;
  }
}

// A process and its neighbours take turns for seconds, so that what was queued and what ran differ.
TEST(FeedbackTest, EstimatesThatSeveralSamplesMetAreBelieved) {
  for (const bool steady : {false, true}) {
    Feedback feedback;
    uint32_t k = Feedback::kOne, least = k;
    for (int second = 0; second < 10; ++second) {
      const int64_t raw = kSecond * 45 / 100;
      k = feedback
              .Add(k, 38,
                   {.elapsed_ns = kSecond,
                    .raw_ns = raw,
                    .steady_ns = steady ? raw : 0,
                    .launches = 450})
              .k;
      least = std::min(least, k);
    }
    EXPECT_EQ(least == Feedback::kOne, steady);
  }
  // By less than half or more than double NVML is believed, however alike the samples are.
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int second = 0; second < 10; ++second) {
    const int64_t raw = static_cast<int64_t>(kSecond) / 2 * k / Feedback::kOne;
    k = feedback
            .Add(k, 20,
                 {.elapsed_ns = kSecond,
                  .raw_ns = raw * Feedback::kOne / k,
                  .steady_ns = raw,
                  .launches = 450})
            .k;
  }
  EXPECT_LT(k, Feedback::kOne / 2);
}

TEST(FeedbackTest, CreditGrowsWhileLaunchesWaitBelowTheLimitAndNoLonger) {
  Feedback feedback;
  const auto credit = [&](int missing) {
    return feedback
        .Add(Feedback::kOne, 80,
             {.elapsed_ns = kSecond,
              .raw_ns = kSecond * 4 / 5,
              .launches = 800,
              .missing_percent = missing,
              .limit_percent = 90,
              .members = 1})
        .credit_ms;
  };
  EXPECT_EQ(credit(0), Feedback::kLeastCredit);
  EXPECT_GT(credit(10), Feedback::kLeastCredit);
  for (int second = 0; second < 10; ++second) EXPECT_LE(credit(10), Feedback::kMostCredit);
  EXPECT_EQ(credit(0), Feedback::kMostCredit);
  for (int second = 0; second < 20; ++second) credit(-3);
  EXPECT_EQ(credit(-3), Feedback::kLeastCredit);
}

TEST(FeedbackTest, SiblingsAreNotBelievedForMinutesAfterEstimatesWereFarTooShort) {
  Feedback feedback;
  for (int second = 0; second < 10; ++second) Raw(feedback, Feedback::kOne, 33, kSecond * 3 / 10);
  EXPECT_TRUE(feedback.trusts_siblings());  // a tenth more
  for (int second = 0; second < 4; ++second) Raw(feedback, Feedback::kOne, 60, kSecond * 3 / 10);
  EXPECT_FALSE(feedback.trusts_siblings());
  feedback.Restart();
  int seconds = 0;
  for (; !feedback.trusts_siblings() && seconds < 1000; ++seconds) {
    Raw(feedback, Feedback::kOne, 30, kSecond * 3 / 10);
  }
  EXPECT_GT(seconds, 200);
  EXPECT_LT(seconds, 400);
}

TEST(FeedbackTest, NothingChargedMovesNothing) {
  Feedback feedback;
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Add(feedback, Feedback::kOne, 50, 0), Feedback::kOne);
}

// Complaint of a review: it had been given back each second, 400 ms of what was rightly owed.
TEST(FeedbackTest, WhatStillWaitsOnTheCardIsNotGivenBack) {
  Feedback feedback;
  for (int second = 0; second < 5; ++second) {
    const auto correction = feedback.Add(Feedback::kOne, 50,
                                         {.elapsed_ns = kSecond,
                                          .raw_ns = kSecond * 9 / 10,
                                          .queued_ns = kSecond * 4 / 10,
                                          .launches = 900,
                                          .debt_ns = kSecond});
    EXPECT_EQ(correction.give_back_ns, 0u) << second;
  }
}

// A first launch at a guess whose sample has not been read yet.
TEST(FeedbackTest, OnePeriodIsNoReasonToDoubtSiblings) {
  Feedback feedback;
  Add(feedback, Feedback::kOne, 2, 50'000, 1);
  EXPECT_TRUE(feedback.trusts_siblings());
}

TEST(FeedbackTest, TheCorrectionStaysWithinItsBounds) {
  Feedback low, high;
  uint32_t least = Feedback::kOne, most = Feedback::kOne;
  for (int i = 0; i < 100; ++i) {
    least = Add(low, least, 0, kSecond);
    most = Add(high, most, 100, kSecond / 50);
  }
  EXPECT_EQ(least, Feedback::kLeast);
  EXPECT_EQ(most, Feedback::kMost);
}

}  // namespace
}  // namespace hami::limiter::core
