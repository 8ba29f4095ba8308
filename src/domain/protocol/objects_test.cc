#include "domain/protocol/objects.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Pod MustPod(std::string_view json) {
  auto pod = DecodePod(json);
  EXPECT_TRUE(pod) << pod.error().message;
  return pod ? *pod : Pod{};
}

TEST(DecodePod, WhatKubeSchedulerSaidLast) {
  auto unschedulable = [](const std::string& conditions) {
    return MustPod(R"({"status":{"conditions":)" + conditions + "}}").unschedulable;
  };
  EXPECT_TRUE(unschedulable(R"([{"type":"Ready","status":"False"},{"reason":"Unschedulable",)"
                            R"("message":"0/2 nodes","type":"PodScheduled","status":"False"}])"));
  EXPECT_FALSE(
      unschedulable(R"([{"type":"PodScheduled","status":"False","reason":"SchedulingGated"}])"));
  EXPECT_FALSE(unschedulable(R"([{"type":"PodScheduled","status":"True"}])"));
  EXPECT_FALSE(unschedulable("null"));
}

// The status comes before the spec, containers before initContainers: order must not matter.
TEST(ObjectsTest, APodIsReadWhateverTheOrderOfItsKeys) {
  Pod pod = MustPod(R"({
    "status":{"phase":"Running","containerStatuses":[
        {"name":"app","restartCount":0,"state":{"running":{"startedAt":"2026-01-01T00:00:00Z"}}}],
      "initContainerStatuses":[
        {"name":"init","state":{"terminated":{"exitCode":0,"reason":"Completed"}}},
        {"name":"side","state":{"running":{}}}]},
    "spec":{
      "containers":[{"name":"app","env":[{"name":"CUDA_DISABLE_CONTROL","value":"true"},
          {"value":"Disable","name":"GPU_CORE_UTILIZATION_POLICY"}],
        "resources":{"limits":{"nvidia.com/gpu":"1","cpu":"2"},"requests":{"nvidia.com/gpu":1}}}],
      "initContainers":[{"name":"init","securityContext":{"privileged":true}},
        {"name":"side","restartPolicy":"Always"}],
      "nodeName":"n1","schedulerName":"hami-scheduler","restartPolicy":"Never",
      "runtimeClassName":"nvidia","schedulingGates":[{"name":"g"}]},
    "metadata":{"uid":"u","name":"p","namespace":"ns","resourceVersion":"7",
      "creationTimestamp":"2026-06-14T15:05:03Z","deletionTimestamp":"2026-06-14T15:06:03Z",
      "labels":{"scheduling.x-k8s.io/pod-group":"g1"},
      "annotations":{"hami.io/vgpu-node":"n1","kubectl.kubernetes.io/last-applied-configuration":"{}"}},
    "kind":"Pod","unknown":[1,{"deep":[2]}]})");
  EXPECT_EQ(pod.uid, "u");
  EXPECT_EQ(pod.key.Text(), "ns/p");
  EXPECT_EQ(pod.resource_version, "7");
  EXPECT_EQ(pod.node_name, "n1");
  EXPECT_EQ(pod.scheduler_name, "hami-scheduler");
  EXPECT_EQ(pod.runtime_class, "nvidia");
  EXPECT_EQ(pod.pod_group, "g1");
  EXPECT_EQ(pod.creation_unix, 1781449503);
  EXPECT_TRUE(pod.deleting);
  EXPECT_TRUE(pod.scheduling_gated);
  EXPECT_EQ(pod.annotations.size(), 1u);
  ASSERT_EQ(pod.containers.size(), 3u);
  EXPECT_EQ(pod.containers[0].name, "init");
  EXPECT_TRUE(pod.containers[0].privileged);
  EXPECT_TRUE(pod.containers[0].terminated);
  EXPECT_EQ(pod.containers[1].kind, ContainerKind::kSidecar);
  EXPECT_TRUE(pod.containers[1].started);
  EXPECT_EQ(pod.containers[2].kind, ContainerKind::kApp);
  EXPECT_TRUE(pod.containers[2].disables_control);
  EXPECT_TRUE(pod.containers[2].disables_core_limit);
  EXPECT_FALSE(pod.containers[1].disables_core_limit);
  EXPECT_EQ(pod.containers[2].limits, (ResourceMap{{"nvidia.com/gpu", "1"}}));
  EXPECT_EQ(pod.containers[2].requests, (ResourceMap{{"nvidia.com/gpu", "1"}}));
  EXPECT_TRUE(pod.containers[2].env_names.empty());
}

TEST(ObjectsTest, ATreeKeepsTheNamesOfEnvironmentVariables) {
  auto tree = ParseJson(
      R"({"spec":{"containers":[{"name":"c","env":[{"name":"A","value":"1"},{"valueFrom":{},"name":"B"}]}]}})");
  auto pod = DecodePodTree(*tree);
  ASSERT_TRUE(pod) << pod.error().message;
  EXPECT_THAT(pod->containers[0].env_names, ElementsAre("A", "B"));
}

TEST(ObjectsTest, NullsAreAbsent) {
  Pod pod = MustPod(
      R"({"metadata":{"name":"p","creationTimestamp":null,"deletionTimestamp":null,"labels":null},
          "spec":{"containers":null,"schedulingGates":null},"status":{"containerStatuses":null}})");
  EXPECT_FALSE(pod.deleting);
  EXPECT_FALSE(pod.scheduling_gated);
  EXPECT_TRUE(pod.containers.empty());
}

TEST(ObjectsTest, EscapedTextIsUnescaped) {
  Pod pod = MustPod(R"({"metadata":{"annotations":{"hami.io/x":"a\"b\\cé\u003c"}}})");
  EXPECT_EQ(pod.Annotation("hami.io/x"), "a\"b\\c\xC3\xA9<");
}

TEST(ObjectsTest, GroupsOfEverySourceAreFound) {
  EXPECT_EQ(MustPod(R"({"spec":{"schedulingGroup":{"podGroupName":"g2"}}})").pod_group, "g2");
  EXPECT_EQ(
      MustPod(R"({"metadata":{"labels":{"pod-group.scheduling.sigs.k8s.io":"g3"}}})").pod_group,
      "g3");
}

TEST(ObjectsTest, ErrorsNameTheField) {
  auto wrong = DecodePod(R"({"metadata":{"name":3}})");
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("pod.metadata.name"));
  auto env = DecodePod(R"({"spec":{"containers":[{"name":"c","env":"x"}]}})");
  ASSERT_FALSE(env);
  EXPECT_THAT(env.error().message, HasSubstr("pod.spec.containers.env"));
  for (std::string_view bad : {"", "[]", "3", "null", "{", R"({"metadata":{"name":"p")", "\xff"}) {
    EXPECT_FALSE(DecodePod(bad)) << bad;
    EXPECT_FALSE(DecodeNode(bad)) << bad;
  }
}

// A card annotation that does not decode must not take the object with it.
TEST(ObjectsTest, ABadAnnotationIsOnlyText) {
  auto node = DecodeNode(
      R"({"metadata":{"name":"n","annotations":{"hami.io/node-nvidia-register":"[{"}}})");
  ASSERT_TRUE(node);
  EXPECT_EQ(node->Annotation("hami.io/node-nvidia-register"), "[{");
}

TEST(ObjectsTest, ANodeIsRead) {
  auto node = DecodeNode(
      R"({"metadata":{"name":"n","uid":"u","resourceVersion":"9","labels":{"gpu":"on"},
           "annotations":{"hami.io/mutex.lock":"x","volumes.kubernetes.io/y":"z"}},
          "spec":{"unschedulable":true},
          "status":{"images":[{"names":["a","b"]}],
            "capacity":{"nvidia.com/gpu":"40","pods":"110"},"allocatable":{"nvidia.com/gpu":"40"}}})");
  ASSERT_TRUE(node) << node.error().message;
  EXPECT_EQ(node->name, "n");
  EXPECT_EQ(node->resource_version, "9");
  EXPECT_EQ(node->labels.at("gpu"), "on");
  EXPECT_TRUE(node->unschedulable);
  EXPECT_EQ(node->annotations.size(), 1u);
  EXPECT_EQ(node->capacity, (ResourceMap{{"nvidia.com/gpu", "40"}}));
  EXPECT_EQ(node->allocatable, (ResourceMap{{"nvidia.com/gpu", "40"}}));
}

struct EndCase {
  std::string_view name;
  std::string_view pod_policy;
  std::string_view deletion;
  std::string_view exit_code;
  bool ends;
};

class ContainerEndTest : public testing::TestWithParam<EndCase> {};

TEST_P(ContainerEndTest, AContainerHasEndedWhenItWillNotBeRestarted) {
  const EndCase& c = GetParam();
  Pod pod = MustPod(std::string(R"({"metadata":{"deletionTimestamp":)") + std::string(c.deletion) +
                    R"(},"spec":{"restartPolicy":")" + std::string(c.pod_policy) +
                    R"(","containers":[{"name":"c"}]},"status":{"phase":"Running",)" +
                    R"("containerStatuses":[{"name":"c","state":{"terminated":{"exitCode":)" +
                    std::string(c.exit_code) + "}}}]}}");
  EXPECT_EQ(pod.containers[0].terminated, c.ends);
  EXPECT_EQ(pod.Finished(), c.ends);
  EXPECT_TRUE(pod.containers[0].started);
}

INSTANTIATE_TEST_SUITE_P(
    All, ContainerEndTest,
    testing::Values(EndCase{"AlwaysRestarts", "Always", "null", "0", false},
                    EndCase{"AlwaysButDeleting", "Always", "\"2026-06-14T15:05:03Z\"", "137", true},
                    EndCase{"OnFailureSucceeded", "OnFailure", "null", "0", true},
                    EndCase{"OnFailureFailed", "OnFailure", "null", "1", false},
                    EndCase{"NeverFailed", "Never", "null", "1", true}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(ObjectsTest, ASidecarEndsWithItsApps) {
  auto text = [](std::string_view app_state) {
    return R"({"spec":{"restartPolicy":"Never","containers":[{"name":"app"}],
        "initContainers":[{"name":"side","restartPolicy":"Always"}]},
        "status":{"initContainerStatuses":[{"name":"side","state":{"terminated":{"exitCode":0}}}],
        "containerStatuses":[{"name":"app","state":)" +
           std::string(app_state) + "}]}}";
  };
  EXPECT_FALSE(MustPod(text(R"({"running":{}})")).containers[0].terminated);
  EXPECT_TRUE(MustPod(text(R"({"terminated":{"exitCode":0}})")).containers[0].terminated);
}

TEST(ObjectsTest, AContainerThatWaitsAfterACrashHasRun) {
  Pod pod = MustPod(R"({"spec":{"containers":[{"name":"c"}]},"status":{"containerStatuses":[
      {"name":"c","restartCount":2,"state":{"waiting":{"reason":"CrashLoopBackOff"}},
       "lastState":{"terminated":{"exitCode":1}}}]}})");
  EXPECT_TRUE(pod.containers[0].started);
  EXPECT_FALSE(pod.containers[0].terminated);
  EXPECT_FALSE(pod.containers[0].exit_code);
}

}  // namespace
}  // namespace hami::protocol
