#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domain/protocol/names.h"
#include "domain/vendor/vendor.h"

namespace hami::vendor {
namespace {

using testing::HasSubstr;

const DeviceConfig& Config() {
  static const DeviceConfig kConfig = protocol::DefaultDeviceConfig();
  return kConfig;
}

Node GoodNode() {
  Node node;
  node.name = "n1";
  node.annotations["hami.io/node-nvidia-register"] =
      R"([{"id":"GPU-a","count":10,"devmem":1000,"devcore":100,"type":"X","health":true},)"
      R"({"id":"GPU-b","index":1,"count":10,"devmem":1000,"devcore":100,"type":"X","health":true}])";
  node.allocatable["nvidia.com/gpu"] = "20";
  return node;
}

TEST(ReadNodeTest, CardsCordonAndLinksAreRead) {
  Node node = GoodNode();
  node.annotations["hami.io/device-cordon"] = " GPU-b , GPU-z";
  node.annotations["hami.io/node-nvidia-score"] = R"([{"uuid":"GPU-a","score":{"GPU-b":200}}])";
  NodeView view = ReadNode(node, Config());
  EXPECT_TRUE(view.problems.empty());
  EXPECT_EQ(view.state.name, "n1");
  EXPECT_EQ(view.state.cards.at("NVIDIA").devices.size(), 2u);
  EXPECT_EQ(view.state.cards.at("NVIDIA").pair_scores, (std::vector<int32_t>{0, 200, 0, 0}));
  EXPECT_EQ(view.state.cordoned, (std::set<std::string, std::less<>>{"GPU-b", "GPU-z"}));
}

// Trap: one undecodable annotation must not take other nodes, or other vendors, with it.
TEST(ReadNodeTest, AnAnnotationThatDoesNotDecodeIsAProblemOfThatNodeAlone) {
  Node node = GoodNode();
  node.annotations["hami.io/node-nvidia-register"] = "[{";
  NodeView view = ReadNode(node, Config());
  EXPECT_TRUE(view.state.cards.empty());
  ASSERT_EQ(view.problems.size(), 1u);
  EXPECT_THAT(view.problems[0].message,
              HasSubstr("node n1: annotation hami.io/node-nvidia-register: "));
}

// Trap: undecodable pair scores rejected the whole node.
TEST(ReadNodeTest, ScoresThatDoNotDecodeAreLeftOut) {
  Node node = GoodNode();
  node.annotations["hami.io/node-nvidia-score"] = "x";
  NodeView view = ReadNode(node, Config());
  EXPECT_TRUE(view.problems.empty());
  EXPECT_TRUE(view.state.cards.at("NVIDIA").pair_scores.empty());
}

TEST(ReadNodeTest, ANodeWithoutCardsIsNoProblem) {
  NodeView view = ReadNode(Node{.name = "cpu"}, Config());
  EXPECT_TRUE(view.problems.empty());
  EXPECT_TRUE(view.state.cards.empty());
}

TEST(SharesTest, AShortStringOfTheReferenceIsCharged) {
  Pod pod;
  pod.containers.resize(2);
  pod.containers[1].limits["nvidia.com/gpu"] = "1";
  pod.annotations["hami.io/vgpu-devices-allocated"] = "GPU-a,NVIDIA,1000,0:;";
  EXPECT_EQ(AllocatedShares(pod, Config())->at("NVIDIA"),
            (PodShares{{}, {{"GPU-a", "NVIDIA", {1000}, {0}}}}));
}

TEST(SharesTest, AnUndecodableStringNamesItsAnnotation) {
  Pod pod;
  pod.containers.resize(1);
  pod.annotations["hami.io/vgpu-devices-allocated"] = "GPU-a,NVIDIA,1:;";
  auto shares = AllocatedShares(pod, Config());
  ASSERT_FALSE(shares);
  EXPECT_EQ(shares.error().message,
            "annotation hami.io/vgpu-devices-allocated: pod annotation format error, missing "
            "fields, do not use nodeName in task spec; expected uuid,type,MiB,percent, got "
            "\"GPU-a,NVIDIA,1\"");
}

// Complaint: "garbage" was read as a Pod without a share, and its charge was gone without a word.
TEST(SharesTest, AStringThatHoldsNoShareIsAnError) {
  Pod pod;
  pod.containers.resize(1);
  for (std::string text : {"garbage", ";"}) {
    pod.annotations["hami.io/vgpu-devices-allocated"] = text;
    auto shares = AllocatedShares(pod, Config());
    ASSERT_FALSE(shares);
    EXPECT_EQ(shares.error().message,
              "annotation hami.io/vgpu-devices-allocated: expected at least one share, got \"" +
                  text + "\"");
  }
  // A plugin that has served every container leaves nothing to allocate.
  pod.annotations = {{"hami.io/vgpu-devices-to-allocate", ";"}};
  EXPECT_TRUE(PendingShares(pod, Config()));
}

TEST(SharesTest, AChangeAfterTheSealIsAnError) {
  Pod pod;
  pod.containers.resize(1);
  pod.annotations = {{"hami.io/vgpu-node", "n1"},
                     {"hami.io/vgpu-devices-allocated", "GPU-a,NVIDIA,3000,30:;"},
                     {"hami.io/vgpu-devices-to-allocate", "GPU-a,NVIDIA,3000,30:;"}};
  const std::string seal = DecisionSeal(pod.annotations);
  EXPECT_EQ(seal, "cbe0690f4519aceb");  // kept by living Pods: a new build must make the same
  pod.annotations["hami.io/decision-seal"] = seal;
  pod.annotations["hami.io/vgpu-devices-to-allocate"] = ";";
  EXPECT_TRUE(AllocatedShares(pod, Config()));
  for (auto [key, value] : {std::pair("hami.io/vgpu-devices-allocated", "GPU-a,NVIDIA,1,30:;"),
                            std::pair("hami.io/vgpu-node", "n2"),
                            std::pair("hami.io/decision-seal", "0000000000000000")}) {
    Pod changed = pod;
    changed.annotations[key] = value;
    auto shares = AllocatedShares(changed, Config());
    ASSERT_FALSE(shares) << key;
    EXPECT_EQ(shares.error().code, Code::kDataLoss);
    changed.annotations.erase(key);
    EXPECT_EQ(AllocatedShares(changed, Config()).has_value(),
              std::string_view(key) == "hami.io/decision-seal")
        << key;
  }
}

}  // namespace
}  // namespace hami::vendor
