#include "services/node/conflict_watch.h"

#include <gtest/gtest.h>

namespace hami::node {
namespace {

using std::chrono::seconds;

constexpr char kResource[] = "nvidia.com/gpu";

class ConflictWatchTest : public testing::Test {
 protected:
  std::optional<std::string> After(Duration step, const std::string& counted) {
    now_ += step;
    return watch_.Look(now_, kResource, counted, 40);
  }
  MonoTime now_{};
  ConflictWatch watch_;
};

TEST_F(ConflictWatchTest, AnotherCountIsSaidOnceAfterAMinute) {
  EXPECT_FALSE(After(seconds(0), "4"));
  EXPECT_FALSE(After(seconds(59), "4"));
  EXPECT_EQ(
      After(seconds(1), "4"),
      "kubelet counts 4 of nvidia.com/gpu, we offer 40: does another device plugin run here?");
  EXPECT_FALSE(After(seconds(600), "4"));
}

TEST_F(ConflictWatchTest, KubeletThatIsOnlyLateIsNoConflict) {
  EXPECT_FALSE(After(seconds(0), ""));
  EXPECT_FALSE(After(seconds(50), "40"));
  EXPECT_FALSE(After(seconds(20), ""));  // the minute begins anew
  EXPECT_TRUE(After(seconds(60), ""));
}

TEST_F(ConflictWatchTest, IsSaidAgainAfterTheyAgreed) {
  After(seconds(0), "4");
  EXPECT_TRUE(After(seconds(60), "4"));
  EXPECT_FALSE(After(seconds(5), "40"));
  EXPECT_FALSE(After(seconds(5), "4"));
  EXPECT_TRUE(After(seconds(60), "4"));
}

TEST_F(ConflictWatchTest, WhileKubeletDoesNotKnowUsNothingCounts) {
  After(seconds(0), "4");
  watch_.Forget();
  EXPECT_FALSE(After(seconds(60), "4"));
}

}  // namespace
}  // namespace hami::node
