#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "domain/protocol/device_config.h"

namespace hami::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

NodeSettings For(std::string_view json, std::string_view node, NvidiaConfig config = {}) {
  auto overrides = ParseNodeOverrides(json);
  EXPECT_TRUE(overrides) << overrides.error().message;
  return SettingsFor(config, *overrides, node, {{"zone", "a"}});
}

TEST(NodeOverridesTest, TheExampleOfTheSpecIsReadInFull) {
  NodeSettings s = For(R"({"nodeconfig":[{"name":"node-a","operatingmode":"mig",
      "devicememoryscaling":1.5,"devicecorescaling":2,"devicesplitcount":7,
      "preconfigureddevicememory":9,"libcudaloglevel":"3","enablenumatopology":true,
      "migstrategy":"none","filterdevices":{"uuid":["GPU-x"],"index":[3]},
      "enablegetpreferredallocation":false}]})",
                       "node-a");
  EXPECT_EQ(s, (NodeSettings{.mode = OperatingMode::kMig,
                             .memory_scaling = 1.5,
                             .core_scaling = 2,
                             .split_count = 7,
                             .preconfigured_memory = {9},
                             .log_level = 3,
                             .numa_topology = true,
                             .mig_strategy = "none",
                             .preferred_allocation = false,
                             .filter_uuids = {"GPU-x"},
                             .filter_indexes = {3}}));
}

// Trap (measured on the reference): a present false or zero is ignored there.
TEST(NodeOverridesTest, APresentFalseOverrides) {
  NvidiaConfig config;
  config.numa_topology = true;
  EXPECT_FALSE(For(R"({"nodeconfig":[{"name":"n","enablenumatopology":false}]})", "n", config)
                   .numa_topology);
  EXPECT_TRUE(For(R"({"nodeconfig":[{"name":"n"}]})", "n", config).numa_topology);
}

TEST(NodeOverridesTest, AZeroSplitIsAnErrorNamingTheNode) {
  EXPECT_EQ(For(R"({"nodeconfig":[{"name":"node-a","devicesplitcount":0}]})", "node-a").refusal,
            "nodeconfig \"node-a\".devicesplitcount: expected an integer from 1 to 10000, got 0");
  for (const char* text :
       {R"({"nodeconfig":[{"name":"n","devicememoryscaling":0}]})",
        R"({"nodeconfig":[{"name":"n","operatingmode":"fast"}]})",
        R"({"nodeconfig":[{"name":"n","filterdevices":{"uuid":"GPU-x"}}]})",
        R"({"nodeconfig":[{"name":"n","filterdevices":{"index":["GPU-x"]}}]})",
        R"({"nodeconfig":[{"name":"n","nodeSelector":{"zone":1}}]})",
        R"({"nodeconfig":[{"nodeSelector":{"zone":"a"},"libcudaloglevel":"loud"}]})"}) {
    EXPECT_THAT(For(text, "n").refusal, HasSubstr("expected")) << text;
  }
}

// Complaint: one wrong entry made everybody's settings fall away, and excluded cards came back.
TEST(NodeOverridesTest, AWrongEntryIsTheMatterOfItsOwnNodesAlone) {
  constexpr std::string_view kJson = R"({"nodeconfig":[
      {"name":"a","filterdevices":{"uuid":["GPU-x"]}},
      {"name":"b*","operatingmode":"fast"},
      {"name":"c","filterdevices":{"index":[1]}}]})";
  EXPECT_EQ(For(kJson, "a"), (NodeSettings{.filter_uuids = {"GPU-x"}}));
  EXPECT_EQ(For(kJson, "c"), (NodeSettings{.filter_indexes = {1}}));
  EXPECT_EQ(For(kJson, "b7").refusal,
            "nodeconfig \"b*\".operatingmode: expected hami-core, mig or mps, got \"fast\"");
}

TEST(NodeOverridesTest, AnEntryThatNamesNoNodeIsAWarning) {
  auto overrides = ParseNodeOverrides(
      R"({"nodeconfig":[{},7,{"name":["n"]},{"nodeSelector":{"zone":"a","x":1}},{"name":"n"}]})");
  ASSERT_TRUE(overrides);
  ASSERT_EQ(overrides->entries.size(), 1u);
  EXPECT_THAT(overrides->warnings,
              ElementsAre("nodeconfig[0].name: expected a node's name, got none",
                          "nodeconfig[1]: expected an object, got 7",
                          "nodeconfig[2].name: expected text, got [\"n\"]",
                          HasSubstr("nodeconfig[3].nodeSelector: expected labels")));
  EXPECT_EQ(SettingsFor({}, *overrides, "n", {{"zone", "a"}}), NodeSettings{});
}

TEST(NodeOverridesTest, ATextThatIsNoListOfEntriesIsAnError) {
  EXPECT_FALSE(ParseNodeOverrides("not json"));
  EXPECT_FALSE(ParseNodeOverrides(R"({"nodeconfig":{}})"));
  EXPECT_FALSE(ParseNodeOverrides("[]"));
}

TEST(NodeOverridesTest, KeysMatchInAnyCaseAsInGo) {
  EXPECT_EQ(For(R"({"NodeConfig":[{"Name":"n","DeviceSplitCount":3}]})", "n").split_count, 3);
}

TEST(NodeOverridesTest, EntriesMatchByNamePatternAndLabelsAndTheLastWins) {
  constexpr std::string_view kJson = R"({"nodeconfig":[
      {"name":"gpu-*","devicesplitcount":2},
      {"name":"gpu-1","devicesplitcount":3},
      {"nodeSelector":{"zone":"a"},"libcudaloglevel":4},
      {"nodeSelector":{"zone":"b"},"libcudaloglevel":0}]})";
  EXPECT_EQ(For(kJson, "gpu-1").split_count, 3);
  EXPECT_EQ(For(kJson, "gpu-2").split_count, 2);
  EXPECT_EQ(For(kJson, "cpu-1").split_count, 10);
  EXPECT_EQ(For(kJson, "gpu-1").log_level, 4);
}

// Complaint: a misspelt key reset its node, and a line of the log was all that told.
TEST(NodeOverridesTest, AMisspeltKeyIsAsWrongAsAWrongValue) {
  constexpr std::string_view kJson = R"({"nodeconfig":[{"name":"n","devicememoryscalin":2},
      {"name":"m","filterdevices":{"uuids":["GPU-x"]}},{"name":"good"}]})";
  EXPECT_EQ(For(kJson, "n").refusal,
            "nodeconfig \"n\".devicememoryscalin: unknown key, did you mean devicememoryscaling?");
  EXPECT_EQ(For(kJson, "m").refusal,
            "nodeconfig \"m\".filterdevices.uuids: unknown key, did you mean uuid?");
  EXPECT_EQ(For(kJson, "good").refusal, "");
  auto overrides = ParseNodeOverrides(R"({"nodeconfgi":[{"name":"n"}]})");
  ASSERT_FALSE(overrides);
  EXPECT_THAT(overrides.error().message, HasSubstr("did you mean nodeconfig?"));
}

TEST(NodeOverridesTest, KeysThatResembleNoneOfOursAreWarnings) {
  auto overrides =
      ParseNodeOverrides(R"({"nodeconfig":[{"name":"n","rackposition":"7"}],"version":"v1"})");
  ASSERT_TRUE(overrides);
  EXPECT_THAT(overrides->warnings, ElementsAre(HasSubstr("rackposition: unknown key"),
                                               HasSubstr("version: unknown key")));
  EXPECT_EQ(overrides->entries.at(0).error, "");
}

}  // namespace
}  // namespace hami::protocol
