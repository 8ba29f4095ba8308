#include "limiter/core/feedback.h"

#include <gtest/gtest.h>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr double kOne = Feedback::kOne;

// A process that the limit holds at `limit` percent by its own account, whose estimates are
// `wrong` times the truth: what the card shows is limit / (wrong * k).
double ShareAfter(Feedback& feedback, double limit, double wrong, int seconds) {
  double k = 1, share = 0;
  for (int i = 0; i < seconds; ++i) {
    share = std::min(100.0, limit / (wrong * k));
    const double charged = share * wrong * k / 100;
    k = feedback.Add(static_cast<uint32_t>(k * kOne), static_cast<uint32_t>(share + 0.5),
                     static_cast<uint64_t>(charged * static_cast<double>(kSecond)), kSecond) /
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
    EXPECT_EQ(feedback.Add(Feedback::kOne, 30, kSecond * 304 / 1000, kSecond), Feedback::kOne);
  }
}

TEST(FeedbackTest, OnePeriodIsNotEnough) {
  Feedback feedback;
  EXPECT_EQ(feedback.Add(Feedback::kOne, 100, kSecond / 10, kSecond), Feedback::kOne);
  EXPECT_GT(feedback.Add(Feedback::kOne, 100, kSecond / 10, kSecond), Feedback::kOne);
}

TEST(FeedbackTest, ACorrectionThatSomebodyElseChangedIsAveragedAnew) {
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int i = 0; i < 4; ++i) k = feedback.Add(k, 10, kSecond / 2, kSecond);
  EXPECT_LT(k, Feedback::kOne / 2);
  EXPECT_EQ(feedback.Add(Feedback::kOne, 10, kSecond / 2, kSecond), Feedback::kOne);
}

// A launch of 40 ms ends in this period or in the next one: NVML and the charges are apart by it,
// now this way, now that.
TEST(FeedbackTest, LongLaunchesThatFallIntoTheNextPeriodMoveNothing) {
  Feedback feedback;
  constexpr uint64_t kLaunch = kSecond / 25;
  for (int i = 0; i < 50; ++i) {
    const uint32_t measured = i % 2 == 0 ? 52 : 48;
    const uint64_t charged = i % 2 == 0 ? 12 * kLaunch : 13 * kLaunch;
    ASSERT_EQ(feedback.Add(Feedback::kOne, measured, charged, kSecond, kLaunch), Feedback::kOne);
  }
}

TEST(FeedbackTest, LongLaunchesThatAreChargedFarTooMuchAreCorrected) {
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  for (int i = 0; i < 20; ++i) {
    const uint64_t charged = kSecond / 2 * k / Feedback::kOne;
    k = feedback.Add(k, 5, charged, kSecond, kSecond / 2);
  }
  EXPECT_LT(k, Feedback::kOne / 3);
}

TEST(FeedbackTest, NothingChargedMovesNothing) {
  Feedback feedback;
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(feedback.Add(Feedback::kOne, 50, 0, kSecond), Feedback::kOne);
}

TEST(FeedbackTest, TheCorrectionStaysWithinItsBounds) {
  Feedback low, high;
  uint32_t least = Feedback::kOne, most = Feedback::kOne;
  for (int i = 0; i < 100; ++i) {
    least = low.Add(least, 0, kSecond, kSecond);
    most = high.Add(most, 100, kSecond / 50, kSecond);
  }
  EXPECT_EQ(least, Feedback::kLeast);
  EXPECT_EQ(most, Feedback::kMost);
}

}  // namespace
}  // namespace hami::limiter::core
