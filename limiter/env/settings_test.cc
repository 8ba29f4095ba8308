#include "limiter/env/settings.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace hami::limiter::env {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;

std::map<std::string, std::string> environment;
std::vector<std::string> complaints;

const char* LookUp(const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : found->second.c_str();
}
void Note(std::string_view text) { complaints.emplace_back(text); }

Settings Read(std::map<std::string, std::string> variables, std::string_view override_text = "") {
  environment = std::move(variables);
  complaints.clear();
  return ReadSettings(&LookUp, override_text, &Note);
}

TEST(SettingsTest, AnIndexedLimitWinsOverTheCommonOne) {
  const Settings s = Read({{"CUDA_DEVICE_MEMORY_LIMIT", "1000m"},
                           {"CUDA_DEVICE_MEMORY_LIMIT_1", "3000m"},
                           {"CUDA_DEVICE_MEMORY_LIMIT_2", "0"},
                           {"CUDA_DEVICE_MEMORY_LIMIT_15", "5m"}});
  EXPECT_EQ(s.memory_limit[0], 1000 * kMi);
  EXPECT_EQ(s.memory_limit[1], 3000 * kMi);
  EXPECT_EQ(s.memory_limit[2], 1000 * kMi);
  EXPECT_EQ(s.memory_limit[15], 5 * kMi);
  EXPECT_TRUE(complaints.empty());
}

TEST(SettingsTest, NothingSetMeansNoLimits) {
  const Settings s = Read({});
  EXPECT_EQ(s.memory_limit[0], 0u);
  EXPECT_EQ(s.sm_percent[0], 100u);
  EXPECT_EQ(s.priority, 1);
  EXPECT_EQ(s.region_path.view(), "/tmp/cudevshr.cache");
  EXPECT_FALSE(s.log_level_set);
  EXPECT_FALSE(s.disable_control);
}

TEST(SettingsTest, AMalformedLimitTakesTheSmallestOtherOneAndSaysSoOnce) {
  const Settings s = Read({{"CUDA_DEVICE_MEMORY_LIMIT_0", "3 GiG"},
                           {"CUDA_DEVICE_MEMORY_LIMIT_1", "2000m"},
                           {"CUDA_DEVICE_MEMORY_LIMIT_2", "4000m"}});
  EXPECT_EQ(s.memory_limit[0], 2000 * kMi);
  EXPECT_EQ(s.memory_limit[2], 4000 * kMi);
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_EQ(complaints[0],
            "invalid value \"3 GiG\" of CUDA_DEVICE_MEMORY_LIMIT_0: expected bytes as "
            "3000m, 0.5g or 512MiB");
}

TEST(SettingsTest, AMalformedCommonLimitHoldsBackTheDevicesThatWouldUseIt) {
  const Settings s =
      Read({{"CUDA_DEVICE_MEMORY_LIMIT", "lots"}, {"CUDA_DEVICE_MEMORY_LIMIT_3", "700m"}});
  EXPECT_EQ(s.memory_limit[0], 700 * kMi);
  EXPECT_EQ(s.memory_limit[3], 700 * kMi);
  EXPECT_EQ(Read({{"CUDA_DEVICE_MEMORY_LIMIT", "lots"}}).memory_limit[0], 0u);
  EXPECT_EQ(complaints.size(), 1u);
}

TEST(SettingsTest, CorePercentagesAreClampedAndNegativeOnesRefused) {
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "30"}}).sm_percent[5], 30u);
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "250"}}).sm_percent[0], 100u);
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "0"}}).sm_percent[0], 100u);
  EXPECT_TRUE(complaints.empty());
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "-5"}}).sm_percent[0], 100u);
  EXPECT_EQ(complaints.size(), 1u);
  const Settings s = Read({{"CUDA_DEVICE_SM_LIMIT", "50"}, {"CUDA_DEVICE_SM_LIMIT_1", "20"}});
  EXPECT_EQ(s.sm_percent[0], 50u);
  EXPECT_EQ(s.sm_percent[1], 20u);
}

TEST(SettingsTest, TheOverrideFileMayOnlyLowerLimits) {
  const Settings s = Read({{"CUDA_DEVICE_MEMORY_LIMIT_0", "1000m"}, {"CUDA_DEVICE_SM_LIMIT", "40"}},
                          "CUDA_DEVICE_MEMORY_LIMIT_0=4000m\nCUDA_DEVICE_MEMORY_LIMIT_1=500m\n"
                          "CUDA_DEVICE_SM_LIMIT=90\nCUDA_DEVICE_MEMORY_SHARED_CACHE=/elsewhere\n"
                          "no equals sign\nCUDA_DEVICE_MEMORY_LIMIT_2=1m\n");
  EXPECT_EQ(s.memory_limit[0], 1000 * kMi);
  EXPECT_EQ(s.memory_limit[1], 500 * kMi);
  EXPECT_EQ(s.memory_limit[2], 0u);  // reading ends at the first line without '='
  EXPECT_EQ(s.sm_percent[0], 40u);
  EXPECT_EQ(s.region_path.view(), "/tmp/cudevshr.cache");
}

TEST(SettingsTest, DisableControlKnowsTheValuesOfTheNodePlugin) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    EXPECT_TRUE(Read({{"CUDA_DISABLE_CONTROL", yes}}).disable_control) << yes;
  }
  for (const char* no : {"0", "false", "yes", "", "tRUE"}) {
    EXPECT_FALSE(Read({{"CUDA_DISABLE_CONTROL", no}}).disable_control) << no;
  }
}

TEST(SettingsTest, LogLevelAndPriorityAreStrict) {
  const Settings s = Read({{"LIBCUDA_LOG_LEVEL", "4"}, {"CUDA_TASK_PRIORITY", "0"}});
  EXPECT_EQ(s.log_level, 4);
  EXPECT_TRUE(s.log_level_set);
  EXPECT_EQ(s.priority, 0);
  EXPECT_EQ(Read({{"CUDA_TASK_PRIORITY", "high"}}).priority, 1);
  EXPECT_EQ(complaints.size(), 1u);
}

TEST(SettingsTest, TheCorePolicyIsAWordInAnyCase) {
  for (const char* word : {"force", "FORCE", "Force", "fOrCe"}) {
    EXPECT_EQ(Read({{"GPU_CORE_UTILIZATION_POLICY", word}}).core_policy, HAMI_POLICY_FORCE) << word;
  }
  EXPECT_EQ(Read({{"GPU_CORE_UTILIZATION_POLICY", "Disable"}}).core_policy, HAMI_POLICY_DISABLE);
  EXPECT_EQ(Read({{"GPU_CORE_UTILIZATION_POLICY", "DEFAULT"}}).core_policy, HAMI_POLICY_DEFAULT);
  EXPECT_EQ(Read({}).core_policy, HAMI_POLICY_DEFAULT);
  EXPECT_TRUE(complaints.empty());
}

TEST(SettingsTest, AnUnknownCorePolicyIsTheDefaultOneAndSaysSo) {
  const Settings s = Read({{"GPU_CORE_UTILIZATION_POLICY", "forced"}});
  EXPECT_EQ(s.core_policy, HAMI_POLICY_DEFAULT);
  ASSERT_EQ(complaints.size(), 1u);
  EXPECT_EQ(complaints[0],
            "invalid value \"forced\" of GPU_CORE_UTILIZATION_POLICY: expected default, force or "
            "disable");
}

TEST(SettingsTest, TheIntervalOfLaunchStampsIsSeconds) {
  EXPECT_EQ(Read({}).record_interval_s, 1u);
  EXPECT_EQ(Read({{"RECORD_KERNEL_INTERVAL", "30"}}).record_interval_s, 30u);
  EXPECT_EQ(Read({{"RECORD_KERNEL_INTERVAL", "-3"}}).record_interval_s, 1u);
  EXPECT_EQ(complaints.size(), 1u);
}

}  // namespace
}  // namespace hami::limiter::env
