#include "platform/driver/node_setup.h"

#include <gtest/gtest.h>

namespace hami::driver {
namespace {

Result<VendorSetup> Make(std::string config_json, std::string config_yaml = "") {
  FlagSet none("plugin", "");
  return SetupVendor(RealFileSystem(), {.given = none,
                                        .options = {},
                                        .tuning = {},
                                        .config_yaml = std::move(config_yaml),
                                        .overrides_json = std::move(config_json),
                                        .node = "n1",
                                        .labels = {},
                                        .health_off = "all",
                                        .health_on = ""});
}

std::string RefusalOf(std::string config_json) {
  auto setup = Make(std::move(config_json));
  return setup ? setup->settings.refusal : "error: " + setup.error().message;
}

TEST(NodeSetupTest, ARefusalNamesFileNodeKeyValueAndExpectation) {
  EXPECT_EQ(RefusalOf(R"({"nodeconfig":[{"name":"n1","devicesplitcount":0}]})"),
            "config.json: nodeconfig \"n1\".devicesplitcount: "
            "expected an integer from 1 to 10000, got 0");
  EXPECT_EQ(RefusalOf(R"({"nodeconfig":[{"name":"n1","operatingmode":"mig"}]})"),
            "config.json: node n1: operatingmode mig is not supported yet, expected hami-core");
  EXPECT_EQ(RefusalOf(R"({"nodeconfig":[{"name":"n1","migstrategy":"mixed"}]})"),
            "config.json: node n1: migstrategy mixed is not supported yet, expected none");
}

TEST(NodeSetupTest, WhatIsWrongForAnotherNodeIsNothingToThisOne) {
  auto setup = Make(R"({"nodeconfig":[{"name":"n2","operatingmode":"mig"},
      {"name":"n3","filterdevices":[]},{"name":"n1","filterdevices":{"uuid":["GPU-x"]}}]})");
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->settings.refusal, "");
  EXPECT_EQ(setup->settings.filter_uuids, std::vector<std::string>{"GPU-x"});
  EXPECT_TRUE(setup->warnings.empty());
}

// Nobody can tell which cards it would have left out.
TEST(NodeSetupTest, AFileThatCannotBeReadIsRefusedByEveryNode) {
  EXPECT_TRUE(RefusalOf("{\"nodeconfig\":[").starts_with("config.json: "));
  EXPECT_TRUE(RefusalOf("[]").starts_with("config.json: "));
  EXPECT_EQ(RefusalOf(""), "");
}

TEST(NodeSetupTest, WarningsNameTheFile) {
  auto setup = Make(R"({"nodeconfig":[{"nmae":"n1"}]})");
  ASSERT_TRUE(setup);
  ASSERT_EQ(setup->warnings.size(), 2u);
  EXPECT_EQ(setup->warnings[0], "config.json: nodeconfig[0].nmae: unknown key, did you mean name?");
}

}  // namespace
}  // namespace hami::driver
