#include "services/scheduler/requeue.h"

#include <gtest/gtest.h>

#include <vector>

namespace hami::scheduler {
namespace {

using namespace std::chrono_literals;

class RequeuerTest : public testing::Test {
 protected:
  FakeClock clock_;
  ManualExecutor executor_{clock_};
  std::set<std::string> fitting_;
  std::vector<std::string> poked_;
  Requeuer requeuer_{executor_,
                     {.fits_now = [this](const std::string& uid,
                                         const std::string&) { return fitting_.contains(uid); },
                      .poke = [this](const std::string& uid, uint64_t) { poked_.push_back(uid); }}};
};

TEST_F(RequeuerTest, WakesOldestFirstAndOnlyWhatFits) {
  requeuer_.Refused("young", 20);
  requeuer_.Refused("old", 10);
  requeuer_.Refused("large", 5);
  fitting_ = {"young", "old"};
  requeuer_.CapacityChanged("n1");
  executor_.Advance(1s);
  EXPECT_EQ(poked_, (std::vector<std::string>{"old", "young"}));
}

TEST_F(RequeuerTest, OnePokePerPodInFiveSeconds) {
  requeuer_.Refused("a", 1);
  fitting_ = {"a"};
  for (int i = 0; i < 40; ++i) {
    requeuer_.CapacityChanged("n1");
    executor_.Advance(100ms);
  }
  EXPECT_EQ(poked_.size(), 1u);
  executor_.Advance(2s);  // what came too early is not forgotten
  EXPECT_EQ(poked_.size(), 2u);
}

TEST_F(RequeuerTest, SettledPodsAreLeftAlone) {
  requeuer_.Refused("a", 1);
  requeuer_.Settled("a");
  fitting_ = {"a"};
  requeuer_.CapacityChanged("n1");
  executor_.Advance(10s);
  EXPECT_TRUE(poked_.empty());
}

// A predecessor's refusals are known by the Pod's condition only: CPU may be what it waits for.
TEST_F(RequeuerTest, InheritedPodIsWokenOnceUnlessRefusedHereToo) {
  requeuer_.Inherited("a", 1);
  requeuer_.Inherited("b", 2);
  fitting_ = {"a", "b"};
  requeuer_.CapacityChanged("n1");
  executor_.Advance(1s);
  EXPECT_EQ(poked_, (std::vector<std::string>{"a", "b"}));
  requeuer_.Refused("b", 2);
  requeuer_.CapacityChanged("n1");
  executor_.Advance(10s);
  EXPECT_EQ(poked_, (std::vector<std::string>{"a", "b", "b"}));
}

TEST_F(RequeuerTest, ManyPokesAreSpreadOverTime) {
  for (int i = 0; i < 50; ++i) {
    requeuer_.Refused("u" + std::to_string(i), i);
    fitting_.insert("u" + std::to_string(i));
  }
  requeuer_.CapacityChanged("n1");
  executor_.Advance(200ms);
  EXPECT_EQ(poked_.size(), 20u);
  executor_.Advance(3s);
  EXPECT_EQ(poked_.size(), 50u);
}

}  // namespace
}  // namespace hami::scheduler
