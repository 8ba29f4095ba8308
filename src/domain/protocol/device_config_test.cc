#include "domain/protocol/device_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hami::protocol {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(DeviceConfigTest, AbsentKeysHaveTheChartsDefaults) {
  auto config = ParseDeviceConfig("nvidia:\n  deviceSplitCount: 5\n");
  ASSERT_TRUE(config) << config.error().message;
  NvidiaConfig expected = DefaultDeviceConfig().nvidia;
  expected.split_count = 5;
  EXPECT_EQ(config->nvidia, expected);
  EXPECT_EQ(expected.count_name, "nvidia.com/gpu");
  EXPECT_EQ(expected.default_count, 1);
  EXPECT_EQ(expected.log_level, 1);
  EXPECT_TRUE(config->warnings.empty());
}

TEST(DeviceConfigTest, EveryKeyIsRead) {
  auto config = ParseDeviceConfig(R"(
nvidia:
  resourceCountName: a/gpu
  resourceMemoryName: a/mem
  resourceMemoryPercentageName: a/pct
  resourceCoreName: a/core
  resourcePriorityName: a/prio
  overwriteEnv: "true"
  defaultMemory: 512
  defaultCores: 10
  defaultGPUNum: 0
  memoryFactor: 1024
  disableCoreLimit: true
  migProfileAllowlist:
  - models: [A30]
    profiles: [1g.6gb]
  gpuCorePolicy: force
  runtimeClassName: nvidia
  deviceSplitCount: "20"
  deviceMemoryScaling: 1.5
  deviceCoreScaling: 2
  preConfiguredDeviceMemory: 100
  libCudaLogLevel: "3"
  enableNumaTopology: true
)");
  ASSERT_TRUE(config) << config.error().message;
  const NvidiaConfig& c = config->nvidia;
  EXPECT_EQ(c.count_name, "a/gpu");
  EXPECT_EQ(c.memory_name, "a/mem");
  EXPECT_EQ(c.memory_percent_name, "a/pct");
  EXPECT_EQ(c.core_name, "a/core");
  EXPECT_EQ(c.priority_name, "a/prio");
  EXPECT_TRUE(c.overwrite_env);
  EXPECT_EQ(c.default_memory, MiB{512});
  EXPECT_EQ(c.default_cores, Percent{10});
  EXPECT_EQ(c.default_count, 0);
  EXPECT_EQ(c.memory_factor, 1024);
  EXPECT_TRUE(c.disable_core_limit);
  EXPECT_THAT(c.mig_allowlist, ElementsAre(MigAllowance{{"A30"}, {"1g.6gb"}}));
  EXPECT_EQ(c.core_policy, CorePolicy::kForce);
  EXPECT_EQ(c.runtime_class, "nvidia");
  EXPECT_EQ(c.split_count, 20);
  EXPECT_EQ(c.memory_scaling, 1.5);
  EXPECT_EQ(c.core_scaling, 2);
  EXPECT_EQ(c.preconfigured_memory, MiB{100});
  EXPECT_EQ(c.log_level, 3);
  EXPECT_TRUE(c.numa_topology);
  EXPECT_TRUE(config->warnings.empty());
}

TEST(DeviceConfigTest, AnUnknownKeyIsAWarningWithTheNearestOne) {
  auto config = ParseDeviceConfig("nvidia: {deviceSplitCont: 5}");
  ASSERT_TRUE(config);
  EXPECT_THAT(config->warnings,
              ElementsAre("nvidia.deviceSplitCont: unknown key, did you mean deviceSplitCount?"));
}

TEST(DeviceConfigTest, OtherSectionsAreKept) {
  auto config = ParseDeviceConfig("version: v1\nhygon: {resourceCountName: hygon.com/dcunum}\n");
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->nvidia.present);
  EXPECT_EQ(StringAt(config->other.at("hygon"), {"resourceCountName"}), "hygon.com/dcunum");
}

TEST(DeviceConfigTest, NothingConfiguredIsTheReferencesError) {
  for (std::string_view text : {"", "{}", "nvidia: {}\nhygon:\n", "vnpus: []"}) {
    auto config = ParseDeviceConfig(text);
    ASSERT_FALSE(config) << text;
    EXPECT_EQ(config.error().message, "all configurations are empty");
  }
}

TEST(DeviceConfigTest, AWrongValueIsNamedWithItsKey) {
  struct Row {
    std::string_view yaml;
    std::string_view message;
  };
  for (const Row& row : {
           Row{"nvidia: {deviceSplitCount: 0}",
               "nvidia.deviceSplitCount: expected an integer from 1 to 10000, got 0"},
           Row{"nvidia: {deviceMemoryScaling: 0}",
               "nvidia.deviceMemoryScaling: expected a number above 0"},
           Row{"nvidia: {overwriteEnv: maybe}", "nvidia.overwriteEnv: expected true or false"},
           Row{"nvidia: {gpuCorePolicy: forced}", "nvidia.gpuCorePolicy: expected default, force"},
           Row{"nvidia: {migProfileAllowlist: [{models: [], profiles: [1g.5gb]}]}",
               "nvidia.migProfileAllowlist[0].models: expected at least one"},
           Row{"nvidia: {migProfileAllowlist: [{models: [A30], profiles: [big]}]}",
               "nvidia.migProfileAllowlist[0].profiles: expected names such as 1g.10gb"},
           Row{"nvidia: 3", "nvidia: expected keys and values"},
           Row{"[1]", "device config: expected sections"},
       }) {
    auto config = ParseDeviceConfig(row.yaml);
    ASSERT_FALSE(config) << row.yaml;
    EXPECT_THAT(config.error().message, HasSubstr(row.message));
  }
}

// Complaints 1014, 1903, 1950: the shipped table must know the names that drivers report.
TEST(DeviceConfigTest, TheMigTableMatchesRealModelNames) {
  auto table = DefaultDeviceConfig().nvidia.mig_allowlist;
  for (std::string_view model :
       {"NVIDIA A100-SXM4-80GB", "NVIDIA A100 80GB PCIe", "NVIDIA H100 80GB HBM3",
        "NVIDIA H100 NVL", "NVIDIA H200", "NVIDIA A30", "NVIDIA B200"}) {
    bool found = false;
    for (const MigAllowance& row : table) {
      for (const std::string& part : row.models) found = found || model.find(part) != model.npos;
    }
    EXPECT_TRUE(found) << model;
  }
}

}  // namespace
}  // namespace hami::protocol
