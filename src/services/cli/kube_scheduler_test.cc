#include "services/cli/kube_scheduler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "services/cli/cluster_fixture.h"

namespace hami::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;
using testing::UnorderedElementsAre;

const std::vector<std::string> kOurs = {"nvidia.com/gpu", "nvidia.com/gpumem"};

NodeFacts Facts() {
  return {.object = Tree(R"({"metadata":{"name":"n1","labels":{"zone":"b","rank":"5"}},"spec":{},
    "status":{"allocatable":{"cpu":"7500m","memory":"8Gi","pods":"3"}}})")};
}

Json PodWith(const std::string& spec) {
  return Tree(R"({"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1"}}}],)" +
              spec + "}}");
}

std::string Why(const Json& pod, const NodeFacts& node) {
  auto obstacle = FirstObstacle(pod, node, kOurs);
  return obstacle ? obstacle->text : "";
}

std::string WhySpec(const std::string& spec) { return Why(PodWith(spec), Facts()); }

TEST(KubeSchedulerTest, ACordonHoldsUnlessItIsTolerated) {
  NodeFacts node = Facts();
  node.object.at("spec").as_object()["unschedulable"] = true;
  EXPECT_EQ(Why(PodWith(R"("x":0)"), node), "cordoned (spec.unschedulable)");
  EXPECT_EQ(Why(PodWith(R"("tolerations":[{"operator":"Exists"}])"), node), "");
}

TEST(KubeSchedulerTest, TaintsAskForATolerationOfKeyValueAndEffect) {
  NodeFacts node = Facts();
  node.object.at("spec").as_object()["taints"] =
      Tree(R"([{"key":"soft","effect":"PreferNoSchedule"},
               {"key":"team","value":"red","effect":"NoSchedule"}])");
  EXPECT_EQ(Why(PodWith(R"("x":0)"), node),
            "taint team=red:NoSchedule is not tolerated by the pod");
  auto tolerated = [&](const std::string& one) {
    return Why(PodWith(R"("tolerations":[)" + one + "]"), node).empty();
  };
  EXPECT_TRUE(tolerated(R"({"key":"team","value":"red"})"));
  EXPECT_TRUE(tolerated(R"({"key":"team","operator":"Exists","effect":"NoSchedule"})"));
  EXPECT_FALSE(tolerated(R"({"key":"team","value":"blue"})"));
  EXPECT_FALSE(tolerated(R"({"key":"team","operator":"Exists","effect":"NoExecute"})"));
}

TEST(KubeSchedulerTest, ANodeSelectorNamesWhatIsAskedForAndWhatIsThere) {
  EXPECT_EQ(WhySpec(R"("nodeSelector":{"zone":"b"})"), "");
  EXPECT_EQ(WhySpec(R"("nodeSelector":{"zone":"a"})"),
            "nodeSelector asks for zone=a, the node has zone=b");
  EXPECT_EQ(WhySpec(R"("nodeSelector":{"disk":"ssd"})"),
            "nodeSelector asks for disk=ssd, the node has no label disk");
}

TEST(KubeSchedulerTest, OneTermOfARequiredAffinityIsEnough) {
  auto affinity = [](const std::string& terms) {
    return WhySpec(
        R"("affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":)"
        R"({"nodeSelectorTerms":[)" +
        terms + "]}}}");
  };
  auto line = [](const std::string& key, const std::string& op, const std::string& values) {
    return R"({"matchExpressions":[{"key":")" + key + R"(","operator":")" + op + R"(","values":[)" +
           values + "]}]}";
  };
  EXPECT_EQ(affinity(line("zone", "In", R"("a","b")")), "");
  EXPECT_EQ(affinity(line("zone", "In", R"("a","c")")),
            "required node affinity asks for zone In [a, c], the node has zone=b");
  EXPECT_EQ(affinity(line("zone", "In", R"("a")") + "," + line("rank", "Gt", R"("4")")), "");
  EXPECT_THAT(affinity(line("rank", "Lt", R"("5")")), HasSubstr("rank Lt [5]"));
  EXPECT_EQ(affinity(line("other", "NotIn", R"("a")")), "");
  EXPECT_EQ(affinity(line("other", "DoesNotExist", "")), "");
  EXPECT_THAT(affinity(line("other", "Exists", "")), HasSubstr("no label other"));
  EXPECT_EQ(affinity(R"({"matchFields":[{"key":"metadata.name","operator":"In",)"
                     R"("values":["n1"]}]})"),
            "");
  EXPECT_THAT(affinity("{}"), HasSubstr("matches no node"));
}

TEST(KubeSchedulerTest, RequestsAreComparedWithWhatTheNodesPodsLeave) {
  NodeFacts node = Facts();
  AddUser(node, PodWith(R"("x":0)"));
  EXPECT_EQ(node.used.at("cpu"), 1000);
  Json ended = PodWith(R"("x":0)");
  ended.as_object()["status"] = Tree(R"({"phase":"Failed"})");
  AddUser(node, ended);
  EXPECT_EQ(node.pods, 1);
  Json pod = Tree(R"({"spec":{"containers":[{"resources":{"limits":{
      "cpu":"64","nvidia.com/gpu":"9","nvidia.com/gpufoo":"3"}}}]}})");
  auto obstacle = FirstObstacle(pod, node, kOurs);
  ASSERT_TRUE(obstacle);
  EXPECT_THAT(obstacle->words, ElementsAre("Insufficient cpu", "Insufficient nvidia.com/gpufoo"));
  EXPECT_EQ(obstacle->text,
            "Insufficient cpu: asks 64, 6500m of 7500m free; "
            "Insufficient nvidia.com/gpufoo: asks 3, the node has no such resource");
  AddUser(node, PodWith(R"("x":0)"));
  AddUser(node, PodWith(R"("x":0)"));
  EXPECT_EQ(Why(PodWith(R"("x":0)"), node), "too many pods: 3 of 3 run there");
}

TEST(KubeSchedulerTest, InitContainersCountByTheirLargestStep) {
  Json pod = Tree(R"({"spec":{"overhead":{"memory":"1Ki"},"initContainers":[
      {"resources":{"requests":{"cpu":"3","memory":"1Ki"}}},
      {"restartPolicy":"Always","resources":{"requests":{"cpu":"500m"}}},
      {"resources":{"requests":{"cpu":"2600m"}}}],
    "containers":[{"resources":{"requests":{"cpu":"1","memory":"2Ki"}}},
                  {"resources":{"requests":{"cpu":"1"}}}]}})");
  EXPECT_THAT(RequestsOf(pod), UnorderedElementsAre(Pair("cpu", 3100), Pair("memory", 3072)));
}

TEST(KubeSchedulerTest, AMessageIsCountedByReason) {
  EXPECT_THAT(
      ReasonsOf(
          "0/4 nodes are available: 1 Insufficient nvidia.com/gpufoo, 1 node(s) had untolerated "
          "taint {team: red}, 2 CardNotHealth. no new claims to deallocate, preemption: 0/4 "
          "nodes are available: 4 Preemption is not helpful for scheduling."),
      UnorderedElementsAre(Pair("Insufficient nvidia.com/gpufoo", 1),
                           Pair("node(s) had untolerated taint", 1), Pair("CardNotHealth", 2)));
  EXPECT_THAT(ReasonsOf("persistentvolumeclaim \"p\" not found"),
              ElementsAre(Pair("persistentvolumeclaim \"p\" not found", 1)));
  EXPECT_THAT(ReasonsOf(""), ElementsAre());
}

}  // namespace
}  // namespace hami::cli
