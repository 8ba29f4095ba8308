#include "domain/policy/compile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domain/protocol/names.h"

namespace hami::policy {
namespace {

using ::testing::ElementsAre;
using enum CardKey;

Pod Asking(ResourceMap limits) {
  Pod pod;
  pod.containers.resize(2);
  pod.containers[1].name = "c";
  pod.containers[1].limits = std::move(limits);
  return pod;
}
PodRequest Compiled(const Pod& pod, PolicyDefaults defaults = {}) {
  auto request = CompileRequest(pod, protocol::DefaultDeviceConfig(), defaults);
  EXPECT_TRUE(request) << request.error().message;
  return request ? *request : PodRequest{};
}
const ResourceMap kOne = {{std::string(protocol::kNvidiaCount), "1"},
                          {std::string(protocol::kNvidiaMemory), "3000"}};

TEST(CompileTest, APodWithoutCardsRequestsNothing) {
  EXPECT_FALSE(RequestsAnything(Compiled(Asking({}))));
}

TEST(CompileTest, EachContainerKeepsItsPlace) {
  PodRequest r = Compiled(Asking(kOne));
  ASSERT_TRUE(RequestsAnything(r));
  ASSERT_EQ(r.vendors.size(), 1u);
  EXPECT_EQ(r.vendors[0].containers[0].count, 0);
  EXPECT_EQ(r.vendors[0].containers[1].memory, MiB{3000});
  EXPECT_EQ(r.names[1], "c");
  EXPECT_EQ(r.kinds.size(), 2u);
}

TEST(CompileTest, SelectorsAreCompiled) {
  Pod pod = Asking(kOne);
  const auto& keys = protocol::kNvidiaKeys;
  pod.annotations[std::string(keys.use_type)] = "A100, h100";
  pod.annotations[std::string(keys.nouse_uuid)] = " GPU-a ,";
  pod.annotations[std::string(protocol::kVgpuMode)] = "mig";
  pod.annotations[std::string(protocol::kNumaBind)] = "true";
  PodRequest r = Compiled(pod);
  EXPECT_THAT(r.vendors[0].select.use_types, ElementsAre("a100", "h100"));
  EXPECT_THAT(r.vendors[0].select.nouse_uuids, ElementsAre("GPU-a"));
  EXPECT_EQ(r.vendors[0].select.modes, "mig");
  EXPECT_TRUE(r.numa_bind);
}

TEST(CompileTest, APodsAnnotationBeatsTheFlagEvenWhenEmpty) {
  Pod pod = Asking(kOne);
  PolicyDefaults flags{.node = "spread", .card = "binpack"};
  EXPECT_EQ(Compiled(pod, flags).node_policy, NodePolicy::kSpread);
  EXPECT_THAT(Compiled(pod, flags).card_policy.order, ElementsAre(kScoreHigh, kNumaHigh));
  pod.annotations[std::string(protocol::kNodePolicy)] = "binpack";
  pod.annotations[std::string(protocol::kCardPolicy)] = "";
  EXPECT_EQ(Compiled(pod, flags).node_policy, NodePolicy::kBinpack);
  EXPECT_THAT(Compiled(pod, flags).card_policy.order, ElementsAre(kScoreLow, kNumaHigh));
}

TEST(CompileTest, APodThatIsWrongOnAnyClusterIsAnError) {
  auto wrong = CompileRequest(Asking({{std::string(protocol::kNvidiaCount), "-1"}}),
                              protocol::DefaultDeviceConfig(), {});
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::kInvalidArgument);
}

// spec/scheduler.md 7.2, the table of orders; here the preferred card comes first.
TEST(CompileTest, CardPoliciesOfTheSpec) {
  auto order = [](std::string_view text, bool numa) { return ParseCardPolicy(text, numa).order; };
  EXPECT_THAT(order("spread", false), ElementsAre(kScoreLow, kNumaHigh));
  EXPECT_THAT(order("whatever", false), ElementsAre(kScoreLow, kNumaHigh));
  EXPECT_THAT(order("topology-aware", false), ElementsAre(kScoreLow, kNumaHigh));
  EXPECT_THAT(order("binpack", false), ElementsAre(kScoreHigh, kNumaHigh));
  EXPECT_THAT(order("mutex", false), ElementsAre(kUsedLow, kNumaHigh));
  EXPECT_THAT(order("binpack", true), ElementsAre(kNumaLow, kScoreHigh));
  EXPECT_THAT(order("spread", true), ElementsAre(kNumaHigh, kScoreLow));
  EXPECT_THAT(order("mutex", true), ElementsAre(kUsedLow, kNumaHigh));
  EXPECT_THAT(order("numa", false), ElementsAre(kNumaHigh));
  EXPECT_THAT(order("binpack, numa", false), ElementsAre(kScoreHigh, kNumaHigh));
  EXPECT_THAT(order("mutex,topology-aware", false), ElementsAre(kScoreLow));
  EXPECT_THAT(order("mutex,binpack", true), ElementsAre(kNumaHigh, kScoreHigh));
  EXPECT_TRUE(ParseCardPolicy("mutex,binpack", false).mutex);
  EXPECT_TRUE(ParseCardPolicy("binpack,topology-aware", false).topology);
  EXPECT_FALSE(ParseCardPolicy("binpack", false).mutex);
}

TEST(CompileTest, WeightsOfTheSpec) {
  EXPECT_EQ(*ParseScoreWeights("slot=1,core=1,memory=3"), (ScoreWeights{1, 1, 3}));
  EXPECT_EQ(*ParseScoreWeights(" memory=0, slot = 2 ,core=0"), (ScoreWeights{2, 0, 0}));
  auto error = [](std::string_view text) { return ParseScoreWeights(text).error().message; };
  auto expected = [](std::string_view text, std::string_view why) {
    return "invalid hami.io/device-scoring-weights annotation \"" + std::string(text) +
           "\": " + std::string(why);
  };
  struct Row {
    std::string_view text;
    std::string_view why;
  };
  for (const Row& row : {
           Row{"slot=1,core=1", "expected slot, core, and memory weights"},
           Row{"slot=1,core,memory=1", "expected key=value entries"},
           Row{"slot=1,slot=1,memory=1", "duplicate \"slot\" weight"},
           Row{"slot=1,core=x,memory=1", "\"core\" weight must be an integer"},
           Row{"slot=1,core=-1,memory=1", "\"core\" weight must not be negative"},
           Row{"slot=1,cpu=1,memory=1", "unknown weight \"cpu\""},
           Row{"slot=0,core=0,memory=0", "at least one weight must be positive"},
       }) {
    EXPECT_EQ(error(row.text), expected(row.text, row.why));
  }
  Pod pod = Asking(kOne);
  pod.annotations[std::string(protocol::kScoringWeights)] = "";
  EXPECT_FALSE(CompileRequest(pod, protocol::DefaultDeviceConfig(), {}));
}

}  // namespace
}  // namespace hami::policy
