// The reference's side of the wire, as it stands in a cluster (testdata/README.md).
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "domain/protocol/allocation.h"
#include "domain/protocol/bind_state.h"
#include "domain/protocol/handshake.h"
#include "domain/protocol/mig_allocation.h"
#include "domain/protocol/names.h"
#include "domain/protocol/node_lock.h"
#include "domain/protocol/objects.h"
#include "domain/protocol/register_annotation.h"

namespace hami::protocol {
namespace {

std::string Text(const std::string& name) {
  std::ifstream in("testdata/" + name);
  EXPECT_TRUE(in) << name;
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}
Pod LoadPod(const std::string& name) { return DecodePod(Text(name)).value(); }
Node LoadNode(const std::string& name) { return DecodeNode(Text(name)).value(); }

PodShares Shares(const Pod& pod, std::string_view key) {
  return DecodeAllocation(pod.Annotation(key)).value();
}

TEST(FixturesTest, AServedPodHoldsItsShareAndOwesNothing) {
  Pod pod = LoadPod("pod_running.json");
  EXPECT_EQ(ReadBindState(pod).phase, BindPhase::kSuccess);
  EXPECT_EQ(Shares(pod, kNvidiaKeys.allocated), (PodShares{{{"GPU-a", "NVIDIA", {3000}, {30}}}}));
  EXPECT_FALSE(FirstPending(Shares(pod, kNvidiaKeys.to_allocate)));
}

TEST(FixturesTest, TheMissingPaddingIsMappedToTheContainerThatAsks) {
  Pod pod = LoadPod("pod_padding.json");
  PodShares aligned = AlignToContainers(Shares(pod, kNvidiaKeys.allocated), {false, true});
  EXPECT_EQ(aligned, (PodShares{{}, {{"GPU-a", "NVIDIA", {1000}, {0}}}}));
}

TEST(FixturesTest, AHalfServedPodIsLeftSoThatTheReferenceCanGoOn) {
  Pod pod = LoadPod("pod_partly_served.json");
  PodShares a = Shares(pod, kNvidiaKeys.to_allocate);
  EXPECT_EQ(FirstPending(a), 1u);
  EXPECT_EQ(EncodeAllocation(a), pod.Annotation(kNvidiaKeys.to_allocate));
  EXPECT_EQ(EncodeAllocation(WithoutEntry(a, 1)), ";;");
}

TEST(FixturesTest, AMigReservationIsReadAndWrittenBackByteForByte) {
  Pod pod = LoadPod("pod_mig.json");
  auto list = DecodeMigAllocations(pod.Annotation(kMigAllocations));
  ASSERT_TRUE(list) << list.error().message;
  EXPECT_TRUE((*list)[0].runtime);
  EXPECT_FALSE((*list)[1].runtime);
  EXPECT_EQ(EncodeMigAllocations(*list), pod.Annotation(kMigAllocations));
}

TEST(FixturesTest, AHeldLockNamesItsPod) {
  Node node = LoadNode("node_locked.json");
  NodeLock lock = ReadNodeLock(node);
  EXPECT_TRUE(HeldBy(lock, {"default", "gang-pod-1"}, "any"));
  EXPECT_EQ(FormatNodeLock(*lock.taken, lock.holder), node.Annotation(kMutexLock));
  EXPECT_EQ(ParseHandshake(node.Annotation(kNvidiaKeys.handshake)).kind,
            HandshakeKind::kRequesting);
  auto devices = DecodeRegister(node.Annotation(kNvidiaKeys.register_key));
  ASSERT_TRUE(devices);
  EXPECT_EQ(EncodeRegisterJson(*devices), node.Annotation(kNvidiaKeys.register_key));
}

TEST(FixturesTest, AnOldPluginsNodeIsRead) {
  Node node = LoadNode("node_csv.json");
  EXPECT_EQ(ReadNodeLock(node).form, LockForm::kBare);
  auto devices = DecodeRegister(node.Annotation(kNvidiaKeys.register_key));
  ASSERT_TRUE(devices);
  EXPECT_EQ((*devices)[1].id, "GPU-c");
  EXPECT_EQ((*devices)[1].index, 1u);
}

}  // namespace
}  // namespace hami::protocol
