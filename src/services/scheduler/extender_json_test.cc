#include "services/scheduler/extender_json.h"

#include <gtest/gtest.h>

namespace hami::scheduler {
namespace {

TEST(ParseFilterArgs, ReadsKeysInAnyLetterCase) {
  auto args = ParseFilterArgs(
      R"({"pod":{"metadata":{"name":"p","namespace":"ns","uid":"u"}},"nodenames":["a","b"],"Nodes":null})");
  ASSERT_TRUE(args) << args.error().message;
  EXPECT_EQ(args->pod.key.Text(), "ns/p");
  EXPECT_EQ(args->node_names, (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(args->nodes);
}

TEST(ParseFilterArgs, KeepsNodeObjectsForTheSimulation) {
  auto args = ParseFilterArgs(
      R"({"Pod":{"metadata":{"name":"p"}},"Nodes":{"items":[{"metadata":{"name":"n1"},"spec":{"x":1}}]}})");
  ASSERT_TRUE(args) << args.error().message;
  ASSERT_TRUE(args->nodes);
  EXPECT_EQ(args->nodes->at(0).node.name, "n1");
  EXPECT_EQ(args->nodes->at(0).json, R"({"metadata":{"name":"n1"},"spec":{"x":1}})");
}

// Trap of spec/scheduler.md 4: both lists null is a crash in the reference, an empty body its
// "EOF".
TEST(ParseFilterArgs, RefusesWhatIsNoRequestWithTheReferencesTexts) {
  EXPECT_EQ(ParseFilterArgs("").error().message, "EOF");
  EXPECT_EQ(ParseFilterArgs("{}").error().message, "extender args missing pod");
  EXPECT_EQ(ParseFilterArgs(R"({"Pod":null})").error().message, "extender args missing pod");
  EXPECT_FALSE(ParseFilterArgs("[]"));
  EXPECT_FALSE(ParseFilterArgs(R"({"Pod":{)"));
  EXPECT_TRUE(
      ParseFilterArgs(R"({"Pod":{"metadata":{"name":"p"}},"Nodes":null,"NodeNames":null})"));
}

TEST(WriteFilterAnswer, WritesEveryKeyNullsIncluded) {
  EXPECT_EQ(
      WriteFilterAnswer({.node_names = {{"n1"}}}),
      R"({"Nodes":null,"NodeNames":["n1"],"FailedNodes":null,"FailedAndUnresolvableNodes":null,"Error":""})");
  EXPECT_EQ(
      WriteFilterAnswer({.failed = {{"n1", "CardInsufficientMemory"}}}),
      R"({"Nodes":null,"NodeNames":null,"FailedNodes":{"n1":"CardInsufficientMemory"},"FailedAndUnresolvableNodes":null,"Error":""})");
  EXPECT_EQ(WriteBindAnswer("a <b>"), R"({"Error":"a \u003cb\u003e"})");
}

TEST(ParseBindArgs, NamesWhatIsMissing) {
  auto args = ParseBindArgs(R"({"PodName":"p","PodNamespace":"ns","PodUID":"u","Node":"n1"})");
  ASSERT_TRUE(args);
  EXPECT_EQ(args->uid, "u");
  EXPECT_EQ(ParseBindArgs(R"({"PodName":"p","PodNamespace":"ns","Node":"n1"})").error().message,
            "bind: PodUID is missing or empty");
}

}  // namespace
}  // namespace hami::scheduler
