#include "domain/protocol/bind_state.h"

#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

TEST(BindStateTest, WhatIsWrittenIsRead) {
  WallTime now(std::chrono::seconds(1781449503));
  Pod pod;
  for (const auto& [k, v] : DecisionAnnotations("n1", now)) pod.annotations[k] = v;
  for (const auto& [k, v] : BindingAnnotations(now)) pod.annotations[k] = v;
  EXPECT_EQ(pod.annotations["hami.io/vgpu-time"], "1781449503");
  EXPECT_EQ(pod.annotations["hami.io/bind-phase"], "allocating");
  BindState state = ReadBindState(pod);
  EXPECT_EQ(state, (BindState{"n1", BindPhase::kAllocating, 1781449503, 1781449503}));
}

TEST(BindStateTest, UnreadableFieldsAreAbsent) {
  Pod pod;
  pod.annotations["hami.io/bind-phase"] = "Success";
  pod.annotations["hami.io/bind-time"] = "12x";
  EXPECT_EQ(ReadBindState(pod), BindState{});
}

TEST(BindStateTest, EveryPhaseRoundTrips) {
  for (BindPhase phase :
       {BindPhase::kNone, BindPhase::kAllocating, BindPhase::kSuccess, BindPhase::kFailed}) {
    EXPECT_EQ(ParseBindPhase(BindPhaseText(phase)), phase);
  }
}

}  // namespace
}  // namespace hami::protocol
