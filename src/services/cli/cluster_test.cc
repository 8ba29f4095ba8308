#include "services/cli/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cli/cluster_fixture.h"

namespace hami::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const CardSet& Cards(const NodePicture& node) { return node.state.cards.at("NVIDIA"); }

TEST(ClusterTest, UsageIsWhatBoundPodsHold) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/pods"] = {BoundPodJson("a", "3000", "n1", "GPU-a1"),
                               BoundPodJson("b", "5000", "n1", "GPU-a1", "allocating"),
                               PodJson("waiting", "9000")};
  Cluster cluster = LoadCluster(api.call(), {}).value();
  EXPECT_THAT(cluster.notes, IsEmpty());
  ASSERT_EQ(cluster.nodes.size(), 1u);
  const NodePicture& node = cluster.nodes[0];
  EXPECT_THAT(node.problems, IsEmpty());
  EXPECT_EQ(Cards(node).usage[0], DeviceUsage{});
  EXPECT_EQ(Cards(node).usage[1], (DeviceUsage{2, {8000}, {60}}));
  ASSERT_EQ(node.holders.at("GPU-a1").size(), 2u);
  EXPECT_EQ(node.holders.at("GPU-a1")[0].pod.Text(), "team-a/a");
}

TEST(ClusterTest, AFinishedPodHoldsNothingAndADeletedOneStillDoes) {
  FakeApi api = FakeApi::Healthy();
  Json finished = BoundPodJson("done", "3000", "n1", "GPU-a0");
  finished.at("status").as_object()["phase"] = "Succeeded";
  Json deleted = BoundPodJson("going", "4000", "n1", "GPU-a0");
  deleted.at("metadata").as_object()["deletionTimestamp"] = "2026-06-14T15:05:03Z";
  api.lists["/api/v1/pods"] = {finished, deleted};
  Cluster cluster = LoadCluster(api.call(), {}).value();
  EXPECT_EQ(Cards(cluster.nodes[0]).usage[0].memory.value, 4000);
}

TEST(ClusterTest, PagesAreFollowedToTheEnd) {
  FakeApi api = FakeApi::Healthy();
  api.page = 2;
  api.lists["/api/v1/nodes"].clear();
  for (char c = 'a'; c < 'f'; ++c) {
    api.lists["/api/v1/nodes"].push_back(NodeJson(std::string("n") + c, std::string("GPU-") + c));
  }
  EXPECT_EQ(LoadCluster(api.call(), {})->nodes.size(), 5u);
  EXPECT_THAT(api.asked, Contains("/api/v1/nodes?limit=500&continue=4"));
}

TEST(ClusterTest, OneNodeWithABrokenAnnotationIsAProblemOfThatNodeAlone) {
  FakeApi api = FakeApi::Healthy();
  Json broken = NodeJson("n0", "GPU-b");
  broken.at("metadata").at("annotations").as_object()["hami.io/node-nvidia-register"] = "[{]";
  api.lists["/api/v1/nodes"].push_back(broken);
  Cluster cluster = LoadCluster(api.call(), {}).value();
  ASSERT_EQ(cluster.nodes.size(), 2u);
  EXPECT_THAT(cluster.nodes[0].problems, ElementsAre(HasSubstr("hami.io/node-nvidia-register")));
  EXPECT_THAT(cluster.nodes[1].problems, IsEmpty());
}

TEST(ClusterTest, DoubtsAreSaid) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/nodes"] = {NodeJson("n1", "GPU-a", "0")};
  Json unreadable = BoundPodJson("odd", "3000", "n1", "GPU-a0");
  unreadable.at("metadata").at("annotations").as_object()["hami.io/vgpu-devices-allocated"] =
      "GPU-a0,NVIDIA,1:;";
  api.lists["/api/v1/pods"] = {BoundPodJson("lost", "3000", "n1", "GPU-gone"), unreadable};
  Cluster cluster = LoadCluster(api.call(), {}).value();
  EXPECT_THAT(cluster.nodes[0].problems,
              ElementsAre(HasSubstr("kubelet offers no nvidia.com/gpu"), HasSubstr("GPU-gone"),
                          HasSubstr("team-a/odd")));
}

TEST(ClusterTest, WhatMayNotBeSeenIsANoteAndNotAFailure) {
  FakeApi api = FakeApi::Healthy();
  api.forbidden = {"/api/v1/nodes", "/api/v1/configmaps", "/api/v1/pods",
                   "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"};
  Cluster cluster = LoadCluster(api.call(), {}).value();
  EXPECT_FALSE(cluster.nodes_known);
  EXPECT_FALSE(cluster.install.scheduler_known);
  EXPECT_FALSE(cluster.install.webhook_known);
  EXPECT_EQ(cluster.notes.size(), 4u);
}

TEST(ClusterTest, TheSchedulersFlagsAreReadFromItsPods) {
  FakeApi api = FakeApi::Healthy();
  Cluster cluster = LoadCluster(api.call(), {}).value();
  EXPECT_EQ(cluster.install.scheduler_ready, 1);
  EXPECT_EQ(cluster.install.scheduler_name, "hami-scheduler");
  EXPECT_EQ(cluster.install.policies.card, "binpack");
  EXPECT_TRUE(cluster.install.webhook_found);
  EXPECT_TRUE(cluster.install.webhook_has_ca);
}

TEST(ClusterTest, ResourceNamesComeFromTheClustersConfiguration) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/configmaps"] = {
      Tree(R"({"data":{"device-config.yaml":"nvidia:\n  resourceCountName: example.com/gpu\n"}})")};
  EXPECT_EQ(LoadCluster(api.call(), {})->devices.nvidia.count_name, "example.com/gpu");
  LoadOptions options{.device_config = "nvidia:\n  resourceCountName: other.com/gpu\n"};
  EXPECT_EQ(LoadCluster(api.call(), options)->devices.nvidia.count_name, "other.com/gpu");
}

TEST(ClusterTest, AnApiServerThatIsAwayIsAnError) {
  FakeApi api = FakeApi::Healthy();
  api.down = true;
  EXPECT_EQ(LoadCluster(api.call(), {}).error().code, Code::kUnavailable);
}

TEST(ClusterTest, UrlEncodeLeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(UrlEncode("a-Z.0_~"), "a-Z.0_~");
  EXPECT_EQ(UrlEncode("a=b/c d\xc3\xa4"), "a%3Db%2Fc%20d%C3%A4");
}

}  // namespace
}  // namespace hami::cli
