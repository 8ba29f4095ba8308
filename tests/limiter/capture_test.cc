// Spec D2.15: a stream that captures is never synchronised or queried by the library, which the
// driver would answer by ending the capture; what a graph replays is limited like anything else.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

// Every launch is admitted, charged and, if it may be, sampled.
const Variables kLimited = {{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"},
                            {"CUDA_DEVICE_SM_LIMIT", "90"},
                            {"GPU_CORE_UTILIZATION_POLICY", "force"}};

class CaptureTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (Probe* probe : {probe_.get(), bare_.get()}) probe->Begin();
  }
  // Step by step what the bare driver answers, in each mode.
  void ExpectAsBare(const std::string& calls) {
    for (const std::string mode : {"0", "1", "2"}) {  // global, thread-local, relaxed
      const std::string command = "captured " + mode + " " + calls;
      EXPECT_EQ(probe_->Ask(command), bare_->Ask(command)) << command;
    }
    EXPECT_EQ(container_.Used(0), kContext);
    EXPECT_EQ(container_.CardUsed(0), kContext);
  }

  Container container_{kLimited}, elsewhere_;
  std::unique_ptr<Probe> probe_ = container_.Start(), bare_ = elsewhere_.StartBare();
};

TEST_F(CaptureTest, LaunchesAndStreamOrderedAllocationsAreCapturedAsWithoutTheLibrary) {
  ExpectAsBare("lLaAlaAL");
}

TEST_F(CaptureTest, OtherStreamsAndQuestionsAboutMemoryDoNotDisturbACapture) {
  ExpectAsBare("looiloail");
}

TEST_F(CaptureTest, WhatACaptureForbidsEndsItAsWithoutTheLibrary) {
  ExpectAsBare("lml");
  ExpectAsBare("lcl");
  ExpectAsBare("lsl");
}

// Before a refusal the library tries everything that may make room; none of it may touch the
// capture.
TEST_F(CaptureTest, ARefusalDuringACaptureDoesNotEndIt) {
  const std::string answer = probe_->Ask("captured 2 laorlr");
  EXPECT_EQ(answer, bare_->Ask("captured 2 laorlr"));
  EXPECT_NE(answer.find(" r=2 "), std::string::npos) << answer;
  EXPECT_NE(answer.find(" end=0 "), std::string::npos) << answer;
  // The driver is not even asked, so a capture in another mode goes on, too.
  for (const std::string mode : {"0", "1"}) {
    const std::string other = probe_->Ask("captured " + mode + " laorl");
    EXPECT_NE(other.find(" r=2 "), std::string::npos) << other;
    EXPECT_NE(other.find(" end=0 "), std::string::npos) << other;
  }
  EXPECT_EQ(container_.Used(0), container_.CardUsed(0));
}

}  // namespace
}  // namespace hami::limiter::testing
