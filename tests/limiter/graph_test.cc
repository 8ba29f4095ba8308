// Spec C4, D2.5: memory that graphs allocate is limited where it is taken, at upload and launch.
#include <gtest/gtest.h>

#include <string>

#include "tests/limiter/limited_test.h"

namespace hami::limiter::testing {
namespace {

class GraphTest : public LimitedTest {
 protected:
  std::string Exec(const std::string& graph, const std::string& flags = "0") {
    return Text(V("instantiate " + Text(V(graph)) + " " + flags));
  }
  void ExpectExact() {
    EXPECT_EQ(Used(), container_.CardUsed(0));
    EXPECT_LE(Used(), kLimit);
  }
};

// Escape of B3: memory nodes are not accounted.
TEST_F(GraphTest, EscapeGraph_AllocationNodesAreChargedWhenTheGraphIsLaunched) {
  const std::string exec = Exec("graph " + Text(128 * kMi) + " 1 1");
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(C("glaunch " + exec), 0);
  EXPECT_EQ(Used(), kContext + 128 * kMi);
  ExpectExact();
  EXPECT_EQ(C("glaunch " + exec), 0);
  EXPECT_EQ(C("glaunchptsz " + exec), 0);
  EXPECT_EQ(Used(), kContext + 128 * kMi);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(C("endexec " + exec), 0);
  EXPECT_EQ(C("gtrim 0"), 0);
  EXPECT_EQ(Used(), kContext);
  ExpectExact();
}

TEST_F(GraphTest, EscapeGraph_ALaunchBeyondTheLimitIsRefused) {
  const std::string exec = Exec("graph " + Text(kRoom + 2 * kMi) + " 1 1");
  EXPECT_EQ(C("glaunch " + exec), 2);
  EXPECT_EQ(C("glaunchptsz " + exec), 2);
  EXPECT_EQ(C("gupload " + exec), 2);
  ExpectExact();
  const uint64_t all = V("alloc " + Text(kRoom));
  const std::string small = Exec("graph 1 1 1");
  EXPECT_EQ(C("glaunch " + small), 2);
  EXPECT_EQ(C("free " + Text(all)), 0);
  EXPECT_EQ(C("glaunch " + small), 0);
  ExpectExact();
}

TEST_F(GraphTest, EscapeGraph_AnUploadTakesWhatALaunchTakes) {
  const std::string exec = Exec("graph " + Text(64 * kMi) + " 2 0");
  EXPECT_EQ(C("gupload " + exec), 0);
  EXPECT_EQ(Used(), kContext + 128 * kMi);
  ExpectExact();
  const std::string uploaded = Exec("graph " + Text(64 * kMi) + " 1 1", "2");
  EXPECT_EQ(Used(), kContext + 192 * kMi);
  ExpectExact();
  EXPECT_EQ(C("glaunch " + uploaded), 0);
  V("alloc " + Text(64 * kMi));
  const uint64_t graph = V("graph " + Text(256 * kMi) + " 1 1");
  EXPECT_EQ(probe_->Ask("instantiate " + Text(graph) + " 2").substr(0, 1), "2");
  ExpectExact();
}

// Escape of B3: the runtime captures cudaMallocAsync into a graph.
TEST_F(GraphTest, EscapeGraph_CapturedAllocationsAreLimitedToo) {
  const uint64_t outside = V("async " + Text(2 * kMi));
  const uint64_t before = Used();
  const std::string exec = Exec("capture " + Text(64 * kMi));
  EXPECT_EQ(Used(), before);
  EXPECT_EQ(C("glaunch " + exec), 0);
  EXPECT_EQ(Used(), before + 64 * kMi);
  ExpectExact();
  EXPECT_EQ(C("glaunch " + Exec("capture " + Text(kRoom))), 2);
  ExpectExact();
  EXPECT_EQ(C("freeasync " + Text(outside)), 0);
}

TEST_F(GraphTest, WhatGraphsNoLongerNeedMakesRoom) {
  const std::string exec = Exec("graph " + Text(kRoom) + " 1 1");
  EXPECT_EQ(C("glaunch " + exec), 0);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(Used(), kLimit);
  const uint64_t pointer = V("alloc " + Text(kRoom));  // the relief trims
  ExpectExact();
  EXPECT_EQ(C("glaunch " + exec), 2);
  EXPECT_EQ(C("free " + Text(pointer)), 0);
  EXPECT_EQ(C("glaunch " + exec), 0);
  ExpectExact();
}

TEST_F(GraphTest, AContextTakesItsGraphsMemoryWithIt) {
  EXPECT_EQ(C("glaunch " + Exec("graph " + Text(64 * kMi) + " 1 1")), 0);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(C("release 0"), 0);
  ExpectExact();
}

TEST_F(GraphTest, AGraphWithoutMemoryCostsNothing) {
  const std::string exec = Exec("graph 1 0 0");
  EXPECT_EQ(C("glaunch " + exec), 0);
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(C("endexec " + exec), 0);
}

}  // namespace
}  // namespace hami::limiter::testing
