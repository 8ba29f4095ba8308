#include "services/cli/explain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domain/policy/compile.h"
#include "domain/policy/explain.h"
#include "domain/policy/fit.h"
#include "domain/protocol/objects.h"
#include "services/cli/cluster_fixture.h"

namespace hami::cli {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr WallTime kNow{std::chrono::seconds(1'800'000'100)};

Explanation Ask(FakeApi& api, const Json& pod, std::string_view ns_label = "",
                std::vector<PodEvent> events = {}) {
  Cluster cluster = LoadCluster(api.call(), {}).value();
  auto explanation = Explain({pod, ns_label, std::move(events), kNow}, cluster);
  EXPECT_TRUE(explanation.has_value());
  return explanation.value_or(Explanation());
}

TEST(ExplainTest, APodThatFitsNowhereIsRefusedInTheWordsOfItsEvent) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/pods"] = {BoundPodJson("a", "20000", "n1", "GPU-a0"),
                               BoundPodJson("b", "21000", "n1", "GPU-a1")};
  Json pod = PodJson("big", "5000");
  Explanation e = Ask(api, pod);
  EXPECT_EQ(e.state, PodState::kUnschedulable);
  EXPECT_FALSE(IsFine(e.state));

  Cluster cluster = LoadCluster(api.call(), {}).value();
  auto request =
      policy::CompileRequest(protocol::DecodePod(pod).value(), cluster.devices, {}).value();
  const NodeState* node = &cluster.nodes[0].state;
  policy::Decision decision = policy::Decide({&node, 1}, request);
  EXPECT_THAT(e.findings, Contains(policy::RefusalText(request, decision.refusals)));
  ASSERT_EQ(e.nodes.size(), 1u);
  EXPECT_FALSE(e.nodes[0].fits);
  EXPECT_EQ(e.nodes[0].text, policy::NodeText(request, decision.refusals[0]));
  ASSERT_EQ(e.nodes[0].cards.size(), 2u);
  EXPECT_EQ(e.nodes[0].cards[0].reason, "CardInsufficientMemory");
  EXPECT_EQ(e.nodes[0].cards[0].used.memory.value, 20000);
  EXPECT_THAT(e.asks, ElementsAre(HasSubstr("main: 5000 MiB")));
}

TEST(ExplainTest, CardsAreJudgedOneByOne) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/pods"] = {BoundPodJson("a", "20000", "n1", "GPU-a0")};
  Json pod = PodJson("two", "5000");
  pod.at("spec").at("containers").at(0).at("resources").at("limits").as_object()["nvidia.com/gpu"] =
      "2";
  Explanation e = Ask(api, pod);
  EXPECT_EQ(e.state, PodState::kUnschedulable);
  EXPECT_EQ(e.nodes[0].cards[0].reason, "CardInsufficientMemory");
  EXPECT_EQ(e.nodes[0].cards[1].reason, "");
}

TEST(ExplainTest, APodThatFitsWaitsForItsTurn) {
  FakeApi api = FakeApi::Healthy();
  Explanation e = Ask(api, PodJson("small", "3000"));
  EXPECT_EQ(e.state, PodState::kWaiting);
  EXPECT_TRUE(IsFine(e.state));
  EXPECT_TRUE(e.nodes[0].fits);
  EXPECT_THAT(e.findings, ElementsAre(HasSubstr("n1")));
}

// Complaint: "fits, waits for its turn" for nodes that kube-scheduler never shows us.
TEST(ExplainTest, WhatKubeSchedulerRulesOutIsNeverCalledWaiting) {
  struct Case {
    const char* want;
    void (*spoil)(Json& node, Json& pod);
  };
  const Case kCases[] = {
      {"n1: cordoned",
       [](Json& node, Json&) { node.as_object()["spec"] = Tree(R"({"unschedulable":true})"); }},
      {"n1: nodeSelector asks for disk=ssd",
       [](Json&, Json& pod) {
         pod.at("spec").as_object()["nodeSelector"] = Tree(R"({"disk":"ssd"})");
       }},
      {"n1: Insufficient cpu: asks 64, 8 of 8 free",
       [](Json&, Json& pod) {
         pod.at("spec").at("containers").at(0).at("resources").at("limits").as_object()["cpu"] =
             "64";
       }},
      {"n1: taint team:NoSchedule", [](Json& node, Json&) {
         node.as_object()["spec"] = Tree(R"({"taints":[{"key":"team","effect":"NoSchedule"}]})");
       }}};
  for (const Case& c : kCases) {
    FakeApi api = FakeApi::Healthy();
    Json pod = PodJson("p", "3000");
    c.spoil(api.lists["/api/v1/nodes"][0], pod);
    Explanation e = Ask(api, pod);
    EXPECT_EQ(e.state, PodState::kUnschedulable) << c.want;
    ASSERT_EQ(e.nodes.size(), 1u);
    EXPECT_FALSE(e.nodes[0].fits);
    EXPECT_THAT(e.nodes[0].text, HasSubstr(c.want));
    EXPECT_THAT(e.findings, ElementsAre(HasSubstr(c.want)));
  }
}

TEST(ExplainTest, KubeSchedulersOwnReasonsComeFirst) {
  FakeApi api = FakeApi::Healthy();
  auto pod = [](const std::string& message) {
    Json out = PodJson("p", "3000");
    out.at("status").as_object()["conditions"] = boost::json::array{
        boost::json::object{{"type", "PodScheduled"}, {"status", "False"}, {"message", message}}};
    return out;
  };
  const std::string volume =
      "0/1 nodes are available: 1 node(s) had volume node affinity conflict.";
  Explanation e = Ask(api, pod(volume));
  EXPECT_EQ(e.state, PodState::kRefusedByKube);
  EXPECT_FALSE(IsFine(e.state));
  EXPECT_EQ(e.findings.front(), "kube-scheduler said last: " + volume);

  // COMPLAINT: nothing said that the extender was down.
  e = Ask(api,
          pod(R"(Post "http://127.0.0.1:8080/filter": dial tcp: connect: connection refused)"));
  EXPECT_EQ(e.state, PodState::kRefusedByKube);
  EXPECT_THAT(e.findings.front(), HasSubstr("got no answer from hami-scheduler"));

  // Only our words: the card has come free since, and the Pod does wait for its turn.
  EXPECT_EQ(Ask(api, pod("0/1 nodes are available: 1 CardInsufficientMemory.")).state,
            PodState::kWaiting);

  // Its reason still holds on the one node, and on the other there is room now.
  Json tainted = NodeJson("n0", "GPU-b");
  tainted.as_object()["spec"] = Tree(R"({"taints":[{"key":"cp","effect":"NoSchedule"}]})");
  api.lists["/api/v1/nodes"].push_back(tainted);
  e = Ask(api, pod("0/2 nodes are available: 1 CardNotHealth, 1 node(s) had untolerated taint {cp: "
                   "}. preemption: 0/2 nodes are available."));
  EXPECT_EQ(e.state, PodState::kWaiting);
  EXPECT_THAT(e.findings.front(), HasSubstr("kube-scheduler said last"));

  // Without a condition the last Event speaks.
  PodEvent old{"Warning", "FailedScheduling", "0/1 nodes are available: 1 CardNotHealth.",
               "hami-scheduler", kNow - std::chrono::minutes(5)};
  PodEvent last{"Warning", "FailedScheduling", volume, "hami-scheduler", kNow};
  e = Ask(api, PodJson("p", "3000"), "", {old, last});
  EXPECT_EQ(e.state, PodState::kRefusedByKube);
  EXPECT_EQ(e.findings.front(), "kube-scheduler said last, at 2027-01-15T08:01:40Z: " + volume);
}

TEST(ExplainTest, ANodeWhoseRegistrationCannotBeReadSaysWhy) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/nodes"][0]
      .at("metadata")
      .at("annotations")
      .as_object()["hami.io/node-nvidia-register"] = "[{]";
  Explanation e = Ask(api, PodJson("p", "3000"));
  EXPECT_THAT(e.nodes[0].text,
              AllOf(HasSubstr("n1: node unregistered: "), HasSubstr("hami.io/node-nvidia")));
}

// Complaint: a node with one unreadable allocation was said to fit.
TEST(ExplainTest, ANodeWithAnUnreadableAllocationIsCalledThat) {
  FakeApi api = FakeApi::Healthy();
  Json odd = BoundPodJson("odd", "3000", "n1", "GPU-a0");
  odd.at("metadata").at("annotations").as_object()["hami.io/vgpu-devices-allocated"] =
      "GPU-a0,NVIDIA,1:;";
  api.lists["/api/v1/pods"] = {odd};
  Explanation e = Ask(api, PodJson("p", "3000"));
  EXPECT_EQ(e.state, PodState::kUnschedulable);
  EXPECT_EQ(e.nodes[0].text,
            "n1: node usage unavailable: the allocation of pod team-a/odd cannot be read");
  EXPECT_THAT(e.findings, ElementsAre(HasSubstr("team-a/odd")));
}

TEST(ExplainTest, AMissedWebhookIsTracedToItsCause) {
  struct Case {
    const char* want;
    const char* ns_label = "";
    void (*spoil)(FakeApi&, Json&) = [](FakeApi&, Json&) {};
  };
  const char* kWebhooks = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
  static const char* path = kWebhooks;
  const Case kCases[] = {
      {"the pod carries the label", "",
       [](FakeApi&, Json& pod) {
         pod.at("metadata").at("labels").as_object()["hami.io/webhook"] = "ignore";
       }},
      {"namespace team-a carries the label", "ignore"},
      {"no MutatingWebhookConfiguration", "", [](FakeApi& api, Json&) { api.lists[path].clear(); }},
      {"has no caBundle", "", [](FakeApi& api, Json&) { api.lists[path] = {WebhookJson("")}; }},
      {"was probably not reachable"}};
  for (const Case& c : kCases) {
    FakeApi api = FakeApi::Healthy();
    Json pod = PodJson("missed", "3000");
    pod.at("spec").as_object()["schedulerName"] = "default-scheduler";
    c.spoil(api, pod);
    Explanation e = Ask(api, pod, c.ns_label);
    EXPECT_EQ(e.state, PodState::kNotMutated) << c.want;
    EXPECT_THAT(e.findings, Contains(HasSubstr(c.want)));
  }
}

TEST(ExplainTest, AForeignSchedulerIsNamed) {
  FakeApi api = FakeApi::Healthy();
  Json pod = PodJson("foreign", "3000");
  pod.at("spec").as_object()["schedulerName"] = "volcano";
  Explanation e = Ask(api, pod);
  EXPECT_EQ(e.state, PodState::kOtherScheduler);
  EXPECT_THAT(e.findings, Contains(HasSubstr("volcano")));
}

TEST(ExplainTest, ASchedulerThatDoesNotRunIsFoundOut) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/pods?scheduler"] = {SchedulerPodJson(false)};
  EXPECT_EQ(Ask(api, PodJson("p", "3000")).state, PodState::kNoScheduler);
  api.lists["/pods?scheduler"].clear();
  Explanation e = Ask(api, PodJson("p", "3000"));
  EXPECT_EQ(e.state, PodState::kNoScheduler);
  EXPECT_THAT(e.findings.front(), HasSubstr("no pod of hami-scheduler exists"));
}

TEST(ExplainTest, ABadValueIsNamedEvenWhenAdmissionLetItPass) {
  FakeApi api = FakeApi::Healthy();
  Explanation e = Ask(api, PodJson("bad", "3Gi"));
  EXPECT_EQ(e.state, PodState::kWrong);
  EXPECT_THAT(e.findings, Contains(HasSubstr("3Gi")));
}

TEST(ExplainTest, GatesHoldAPodBack) {
  FakeApi api = FakeApi::Healthy();
  Json pod = PodJson("gated", "3000");
  pod.at("spec").as_object()["schedulingGates"] = Tree(R"([{"name":"kueue"}])");
  EXPECT_EQ(Ask(api, pod).state, PodState::kGated);
}

TEST(ExplainTest, ABoundPodShowsItsCardsAndItsStage) {
  FakeApi api = FakeApi::Healthy();
  Explanation running = Ask(api, BoundPodJson("a", "3000", "n1", "GPU-a0"));
  EXPECT_EQ(running.state, PodState::kRunning);
  ASSERT_EQ(running.grants.size(), 1u);
  EXPECT_EQ(running.grants[0].container, "main");
  EXPECT_EQ(running.grants[0].share.uuid, "GPU-a0");

  Explanation allocating = Ask(api, BoundPodJson("a", "3000", "n1", "GPU-a0", "allocating"));
  EXPECT_EQ(allocating.state, PodState::kAllocating);
  EXPECT_THAT(allocating.findings, Contains(HasSubstr("2027-01-15T08:00:00Z")));

  Json failed = BoundPodJson("a", "3000", "n1", "GPU-a0", "failed");
  failed.at("status").as_object()["phase"] = "Failed";
  failed.at("status").as_object()["reason"] = "UnexpectedAdmissionError";
  failed.at("status").as_object()["message"] = "Allocate failed due to no binding pod";
  Explanation why = Ask(api, failed);
  EXPECT_EQ(why.state, PodState::kFailed);
  EXPECT_THAT(why.findings,
              Contains("UnexpectedAdmissionError: Allocate failed due to no binding pod"));

  Json pulling = BoundPodJson("a", "3000", "n1", "GPU-a0");
  pulling.at("status").as_object()["phase"] = "Pending";
  pulling.at("status").as_object()["containerStatuses"] = Tree(
      R"([{"name":"main","state":{"waiting":{"reason":"ImagePullBackOff","message":"no such image"}}}])");
  Explanation starting = Ask(api, pulling);
  EXPECT_EQ(starting.state, PodState::kStarting);
  EXPECT_THAT(starting.findings, Contains(HasSubstr("ImagePullBackOff: no such image")));
}

// Complaint: a Pod that used a whole card was explained as a slice.
TEST(ExplainTest, LimitsThatAreSwitchedOffAreSaid) {
  FakeApi api = FakeApi::Healthy();
  const auto with = [](Json pod, std::string_view env) {
    pod.at("spec").at("containers").at(0).as_object()["env"] = Tree(env);
    return pod;
  };
  constexpr std::string_view kOff = R"([{"name":"CUDA_DISABLE_CONTROL","value":"true"}])";
  constexpr std::string_view kCores =
      R"([{"name":"GPU_CORE_UTILIZATION_POLICY","value":"disable"}])";
  const auto off = Contains(HasSubstr("main: CUDA_DISABLE_CONTROL in its environment switches"));
  const auto cores = Contains(HasSubstr("main: GPU_CORE_UTILIZATION_POLICY=disable"));
  for (const Json& pod : {PodJson("p", "3000"), BoundPodJson("p", "3000", "n1", "GPU-a0")}) {
    EXPECT_THAT(Ask(api, pod).findings, Not(AnyOf(off, cores)));
    EXPECT_THAT(Ask(api, with(pod, kOff)).findings, AllOf(off, Not(cores)));
    EXPECT_THAT(Ask(api, with(pod, kCores)).findings, AllOf(cores, Not(off)));
  }
  // A container without a card has no limit to lose.
  Json none = with(PodJson("p", "3000"), kOff);
  none.at("spec")
      .at("containers")
      .as_array()
      .push_back(Tree(
          R"({"name":"idle","env":[{"name":"GPU_CORE_UTILIZATION_POLICY","value":"disable"}]})"));
  EXPECT_THAT(Ask(api, none).findings, Not(Contains(HasSubstr("idle"))));

  api.lists["/pods?scheduler"][0]
      .at("spec")
      .at("containers")
      .at(1)
      .at("command")
      .as_array()
      .emplace_back("--allow-disable-control=false");
  EXPECT_THAT(Ask(api, with(PodJson("p", "3000"), kOff)).findings,
              AllOf(Contains(HasSubstr("CUDA_DISABLE_CONTROL has no effect")), Not(off)));
}

TEST(ExplainTest, APodBoundAroundUsIsTrouble) {
  FakeApi api = FakeApi::Healthy();
  Json pod = PodJson("around", "3000");
  pod.at("spec").as_object()["nodeName"] = "n1";
  pod.at("status").as_object()["phase"] = "Running";
  Explanation e = Ask(api, pod);
  EXPECT_FALSE(IsFine(e.state));
  EXPECT_THAT(e.findings, Contains(HasSubstr("no cards were given out")));
}

TEST(ExplainTest, APodWithoutOurResourcesIsNoneOfOurs) {
  FakeApi api = FakeApi::Healthy();
  Json pod = Tree(R"({"metadata":{"name":"p"},"spec":{"containers":[{"name":"c"}]}})");
  Explanation e = Ask(api, pod);
  EXPECT_EQ(e.state, PodState::kNoCards);
  EXPECT_TRUE(IsFine(e.state));
}

// Complaint: with several containers Scheduled and BindingSucceed vanished without a word.
TEST(ExplainTest, OlderEventsAreCountedWhereTheyAreNotShown) {
  FakeApi api = FakeApi::Healthy();
  std::vector<PodEvent> events(11);
  for (size_t i = 0; i < events.size(); ++i) events[i].reason = "R" + std::to_string(i);
  const std::string text = ExplanationText(Ask(api, PodJson("p", "3000"), "", events), kNow);
  EXPECT_THAT(text, AllOf(Not(HasSubstr(" R2 ")), HasSubstr(" R3 "), HasSubstr("(3 older not")));
  events.resize(8);
  EXPECT_THAT(ExplanationText(Ask(api, PodJson("p", "3000"), "", events), kNow),
              Not(HasSubstr("older")));
}

TEST(ExplainTest, APodOnAnUnhealthyCardIsToldSo) {
  FakeApi api = FakeApi::Healthy();
  Json pod = BoundPodJson("a", "3000", "n1", "GPU-a0");
  EXPECT_THAT(Ask(api, pod).findings, Not(Contains(HasSubstr("unhealthy"))));
  Json& cards = api.lists["/api/v1/nodes"][0]
                    .at("metadata")
                    .at("annotations")
                    .at("hami.io/node-nvidia-register");
  std::string text(cards.as_string());
  text.replace(text.find("\"health\":true"), 13, "\"health\":false");
  cards = text;
  EXPECT_THAT(Ask(api, pod).findings, Contains(HasSubstr("its card GPU-a0 is unhealthy")));
  EXPECT_THAT(Ask(api, BoundPodJson("b", "3000", "n1", "GPU-a1")).findings,
              Not(Contains(HasSubstr("unhealthy"))));
}

TEST(ExplainTest, AFinishedPodHeldItsCards) {
  FakeApi api = FakeApi::Healthy();
  Json pod = BoundPodJson("a", "3000", "n1", "GPU-a0");
  EXPECT_THAT(ExplanationText(Ask(api, pod), kNow), HasSubstr("  holds: main: 3000 MiB"));
  pod.at("status").as_object()["phase"] = "Succeeded";
  EXPECT_THAT(ExplanationText(Ask(api, pod), kNow),
              AllOf(HasSubstr("  held: main: 3000 MiB"), Not(HasSubstr("holds:"))));
}

// Complaint: ESC, BEL and newlines of a user's annotation reached the administrator's terminal.
TEST(ExplainTest, WhatUsersWroteReachesNoTerminalRaw) {
  FakeApi api = FakeApi::Healthy();
  Json pod = PodJson("p", "3000");
  const std::string evil = "h\x1b[2J\a\n  node: fine";
  pod.at("metadata").at("annotations").as_object()["nvidia.com/use-gputype"] = evil;
  Explanation e =
      Ask(api, pod, "", {{.type = "Warning", .reason = "R", .message = evil, .source = "s"}});
  const std::string text = ExplanationText(e, kNow);
  EXPECT_THAT(text, HasSubstr("asks for type \"h\\x1b[2j\\x07\\n  node: fine\""));
  EXPECT_THAT(text, HasSubstr("h\\x1b[2J\\x07\\n  node: fine"));
  for (char c : text) EXPECT_TRUE(c == '\n' || (c >= ' ' && c != 0x7F)) << int{c};
  EXPECT_THAT(text, Not(HasSubstr("\n  node: fine")));

  pod = PodJson("p", "3000");
  pod.at("metadata").at("annotations").as_object()["hami.io/device-scoring-weights"] = evil;
  EXPECT_THAT(Ask(api, pod).findings, ElementsAre(HasSubstr("annotation \"h\\x1b[2J\\x07")));
}

// Complaint: "failed ... scheduler default-scheduler bound it" of a healthy Pod with gpu: 0.
TEST(ExplainTest, AHealthyPodWithZeroCardsIsNotCalledFailed) {
  FakeApi api = FakeApi::Healthy();
  for (const char* node : {"", "n1"}) {
    Json pod = Tree(R"({"metadata":{"name":"p"},"spec":{"schedulerName":"default-scheduler",
      "containers":[{"name":"c","resources":{"limits":{"nvidia.com/gpu":"0"}}}]},
      "status":{"phase":"Running"}})");
    pod.at("spec").as_object()["nodeName"] = node;
    Explanation e = Ask(api, pod);
    EXPECT_EQ(e.state, PodState::kNoCards) << node;
    EXPECT_TRUE(IsFine(e.state));
    EXPECT_THAT(e.findings, ElementsAre(HasSubstr("none asks for a card")));
  }
}

TEST(ExplainTest, AShareWithoutACountStillAsksForCards) {
  FakeApi api = FakeApi::Healthy();
  Json pod = Tree(R"({"metadata":{"name":"p"},"spec":{"schedulerName":"default-scheduler",
    "containers":[{"name":"c","resources":{"limits":{"nvidia.com/gpumem":"3000"}}}]},
    "status":{"phase":"Pending"}})");
  EXPECT_EQ(Ask(api, pod).state, PodState::kNotMutated);
}

TEST(ExplainTest, NodesThatMayNotBeSeenLeaveTheAnswerOpen) {
  FakeApi api = FakeApi::Healthy();
  api.forbidden = {"/api/v1/nodes"};
  Explanation e = Ask(api, PodJson("p", "3000"));
  EXPECT_EQ(e.state, PodState::kUnknown);
  EXPECT_THAT(e.notes, Contains(HasSubstr("nodes may not be listed")));
}

TEST(ExplainTest, TheLockOfANodeIsShown) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/nodes"][0].at("metadata").at("annotations").as_object()["hami.io/mutex.lock"] =
      "2026-06-14T15:05:03Z,default,gang-pod-1";
  Explanation e = Ask(api, PodJson("p", "3000"));
  EXPECT_EQ(e.nodes[0].lock, "held for default/gang-pod-1 since 2026-06-14T15:05:03Z");
}

TEST(ExplainTest, EventsAreInOrderOfTheirLastTime) {
  auto events =
      DecodeEvents({Tree(R"({"type":"Warning","reason":"FailedScheduling","message":"m2",
      "reportingComponent":"hami-scheduler","eventTime":"2027-01-15T08:01:00.5Z"})"),
                    Tree(R"({"type":"Normal","reason":"Scheduled","message":"m1","count":3,
      "source":{"component":"kubelet"},"lastTimestamp":"2027-01-15T08:00:00Z"})"),
                    Tree("{}")});
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].message, "m1");
  EXPECT_EQ(events[1].count, 3);
  EXPECT_EQ(events[2].source, "hami-scheduler");
}

TEST(ExplainTest, TextAndJsonSayTheSame) {
  FakeApi api = FakeApi::Healthy();
  api.lists["/api/v1/pods"] = {BoundPodJson("a", "20000", "n1", "GPU-a0")};
  PodEvent event{"Warning",
                 "FilteringFailed",
                 "no available node",
                 "hami-scheduler",
                 kNow - std::chrono::minutes(5),
                 7};
  Explanation e = Ask(api, PodJson("big", "30000"), "", {event});
  std::string text = ExplanationText(e, kNow);
  for (const char* part :
       {"Pod team-a/big: pending: fits nowhere now\n", "scheduler: hami-scheduler",
        "asks: main: 30000 MiB", "GPU-a1", "CardInsufficientMemory", "4000 of 24000 MiB", "5m (x7)",
        "FilteringFailed"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  Json json = Tree(ExplanationJson(e));
  EXPECT_EQ(BoolAt(json, {"fine"}), false);
  EXPECT_EQ(StringAt(json, {"state"}), PodStateText(e.state));
  EXPECT_EQ(IntAt(json.at("nodes").at(0).at("cards").at(0), {"used", "memoryMiB"}), 20000);
  EXPECT_EQ(json.at("events").at(0).at("count").as_int64(), 7);
}

}  // namespace
}  // namespace hami::cli
