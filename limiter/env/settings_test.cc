#include "limiter/env/settings.h"

#include <gtest/gtest.h>

#include <algorithm>
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
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "0"}}).sm_percent[0], 100u);
  EXPECT_TRUE(complaints.empty());
  EXPECT_EQ(Read({{"CUDA_DEVICE_SM_LIMIT", "250"}}).sm_percent[0], 100u);  // no limit, said aloud
  EXPECT_EQ(complaints.size(), 1u);
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

// Found by fuzzing: an image named one device, and the environment's limit for all of them no
// longer held for it.
TEST(SettingsTest, AnOverrideForOneDeviceDoesNotLiftTheLimitForAll) {
  const Settings s =
      Read({{"CUDA_DEVICE_MEMORY_LIMIT", "3000m"}, {"CUDA_DEVICE_MEMORY_LIMIT_2", "2g"}},
           "CUDA_DEVICE_MEMORY_LIMIT_0=500m\nCUDA_DEVICE_MEMORY_LIMIT_1=8g\n"
           "CUDA_DEVICE_MEMORY_LIMIT=1g\n");
  EXPECT_EQ(s.memory_limit[0], 500 * kMi);
  EXPECT_EQ(s.memory_limit[1], 3000 * kMi);
  EXPECT_EQ(s.memory_limit[2], 1024 * kMi);
  EXPECT_EQ(s.memory_limit[3], 1024 * kMi);
}

TEST(SettingsTest, AnOverrideOfTheCoreLimitForAllHoldsForTheDevicesThatHaveTheirOwn) {
  const Settings s = Read({{"CUDA_DEVICE_SM_LIMIT", "50"}, {"CUDA_DEVICE_SM_LIMIT_0", "80"}},
                          "CUDA_DEVICE_SM_LIMIT=20\nCUDA_DEVICE_SM_LIMIT_1=90\n"
                          "CUDA_DEVICE_SM_LIMIT_2=0\nCUDA_DEVICE_SM_LIMIT_3=-1\n");
  EXPECT_EQ(s.sm_percent[0], 20u);
  EXPECT_EQ(s.sm_percent[1], 50u);  // the image says 90 of this one
  EXPECT_EQ(s.sm_percent[2], 50u);
  EXPECT_EQ(s.sm_percent[3], 20u);
  EXPECT_EQ(complaints.size(), 1u);
}

TEST(SettingsTest, AnOverrideMayForceTheCoreLimitButNotLiftIt) {
  const auto policy = [](const char* environment_word, const std::string& image_word) {
    return Read({{"GPU_CORE_UTILIZATION_POLICY", environment_word}},
                "GPU_CORE_UTILIZATION_POLICY=" + image_word)
        .core_policy;
  };
  for (const char* word : {"", "default", "force", "disable"}) {
    EXPECT_EQ(policy(word, "Force"), HAMI_POLICY_FORCE) << word;
  }
  for (const char* image : {"disable", "DISABLE", "default", ""}) {
    EXPECT_EQ(policy("force", image), HAMI_POLICY_FORCE) << image;
    EXPECT_EQ(policy("default", image), HAMI_POLICY_DEFAULT) << image;
    EXPECT_EQ(policy("disable", image), HAMI_POLICY_DISABLE) << image;
  }
  EXPECT_TRUE(complaints.empty());
  EXPECT_EQ(policy("force", "off"), HAMI_POLICY_FORCE);
  EXPECT_EQ(complaints.size(), 1u);
}

TEST(SettingsTest, AnOverrideSetsTheLogLevel) {
  Settings s = Read({}, "LIBCUDA_LOG_LEVEL=3\n");
  EXPECT_EQ(s.log_level, 3);
  EXPECT_TRUE(s.log_level_set);
  s = Read({{"LIBCUDA_LOG_LEVEL", "4"}}, "LIBCUDA_LOG_LEVEL=0\n");
  EXPECT_EQ(s.log_level, 0);
  s = Read({{"LIBCUDA_LOG_LEVEL", "4"}}, "LIBCUDA_LOG_LEVEL=loud\n");
  EXPECT_EQ(s.log_level, 4);
  EXPECT_EQ(complaints.size(), 1u);
}

// Everything else would lift a limit, or lead to another account, where it is not the container's.
TEST(SettingsTest, AnOverrideOfAnyOtherVariableIsNotRead) {
  const Settings s = Read({},
                          "CUDA_DEVICE_MEMORY_SHARED_CACHE=/elsewhere\nCUDA_TASK_PRIORITY=0\n"
                          "CUDA_DISABLE_CONTROL=true\nCUDA_OVERSUBSCRIBE=true\n"
                          "HAMI_NVML_PROCESSES=raw\nRECORD_KERNEL_INTERVAL=900\n");
  EXPECT_EQ(s.region_path.view(), "/tmp/cudevshr.cache");
  EXPECT_EQ(s.priority, 1);
  EXPECT_EQ(s.record_interval_s, 1u);
  EXPECT_FALSE(s.disable_control);
  EXPECT_FALSE(s.oversubscribe);
  EXPECT_FALSE(s.raw_nvml_processes);
  EXPECT_TRUE(complaints.empty());
}

TEST(SettingsTest, DisableControlKnowsTheValuesOfTheNodePlugin) {
  for (const char* yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    EXPECT_TRUE(Read({{"CUDA_DISABLE_CONTROL", yes}}).disable_control) << yes;
  }
  for (const char* no : {"0", "false", "yes", "", "tRUE"}) {
    EXPECT_FALSE(Read({{"CUDA_DISABLE_CONTROL", no}}).disable_control) << no;
  }
}

TEST(SettingsTest, ListsOfProcessesAreTheContainersUnlessRawIsAskedFor) {
  EXPECT_FALSE(Read({}).raw_nvml_processes);
  EXPECT_FALSE(Read({{"HAMI_NVML_PROCESSES", "container"}}).raw_nvml_processes);
  EXPECT_TRUE(Read({{"HAMI_NVML_PROCESSES", "raw"}}).raw_nvml_processes);
  EXPECT_TRUE(complaints.empty());
  EXPECT_FALSE(Read({{"HAMI_NVML_PROCESSES", "RAW"}}).raw_nvml_processes);
  EXPECT_EQ(complaints.size(), 1u);
}

// Every number syntax of spec A2, through the variable: what the reference made of it stands
// beside.
TEST(SettingsTest, EveryNumberSyntaxMeansWhatItSaysOrIsRefusedOnce) {
  constexpr uint64_t kRefused = ~uint64_t{0};
  struct Case {
    const char* text;
    uint64_t bytes;
  };
  for (const Case& c : {Case{"3000m", 3000 * kMi},
                        {"3000M", 3000 * kMi},
                        {" 3000 m ", 3000 * kMi},
                        {"1Gi", 1024 * kMi},      // 1 byte
                        {"1gb", 1024 * kMi},      // 1 byte
                        {"512MiB", 512 * kMi},    // 512 bytes
                        {"0.5g", 512 * kMi},      // no limit
                        {"1.5 GiB", 1536 * kMi},  // 1 byte
                        {"010g", 10240 * kMi},    // 8 GiB
                        {"0x200m", 512 * kMi},
                        {"536870912", 512 * kMi},
                        {"524288k", 512 * kMi},
                        {"1t", 1024 * 1024 * kMi},
                        {"0", 0},
                        {"0m", 0},
                        {"", 0},
                        {"-1", kRefused},
                        {"1e9", kRefused},
                        {"1,5g", kRefused},
                        {"3000mm", kRefused},
                        {"unlimited", kRefused},
                        {"99999999999999999999", kRefused},
                        {"99999999999t", kRefused}}) {
    const Settings s = Read({{"CUDA_DEVICE_MEMORY_LIMIT_0", c.text}});
    EXPECT_EQ(s.memory_limit[0], c.bytes == kRefused ? 0 : c.bytes) << c.text;
    EXPECT_EQ(complaints.size(), c.bytes == kRefused ? 1u : 0u) << c.text;
  }
}

TEST(SettingsTest, EachMalformedVariableIsNamedOnceWithItsValue) {
  const std::map<std::string, std::string> malformed = {
      {"CUDA_DEVICE_MEMORY_LIMIT", "a"},
      {"CUDA_DEVICE_MEMORY_LIMIT_7", "b"},
      {"CUDA_DEVICE_SM_LIMIT", "c"},
      {"CUDA_DEVICE_SM_LIMIT_15", "-1"},
      {"CUDA_TASK_PRIORITY", "d"},
      {"LIBCUDA_LOG_LEVEL", "e"},
      {"CUDA_DISABLE_CONTROL", "yes"},
      {"CUDA_OVERSUBSCRIBE", "on"},
      {"ACTIVE_OOM_KILLER", "never"},
      {"CUDA_DEVICE_MEMORY_SHARED_CACHE", std::string(256, 'x')}};
  Read(malformed);
  EXPECT_EQ(complaints.size(), malformed.size());
  for (const auto& [name, value] : malformed) {
    const std::string named = "\" of " + name + ": expected ";
    const auto count = std::count_if(
        complaints.begin(), complaints.end(),
        [&](const std::string& said) { return said.find(named) != std::string::npos; });
    EXPECT_EQ(count, 1) << name;
  }
}

TEST(SettingsTest, APathThatDoesNotFitIsNotCutIntoAnother) {
  const std::string longest(255, 'x');
  EXPECT_EQ(Read({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", longest}}).region_path.view(), longest);
  EXPECT_TRUE(complaints.empty());
  EXPECT_EQ(Read({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", longest + "y"}}).region_path.view(),
            "/tmp/cudevshr.cache");
}

TEST(SettingsTest, OversubscriptionIsAskedForAsThePluginWritesIt) {
  EXPECT_TRUE(Read({{"CUDA_OVERSUBSCRIBE", "true"}}).oversubscribe);
  EXPECT_FALSE(Read({{"CUDA_OVERSUBSCRIBE", "false"}}).oversubscribe);
  EXPECT_FALSE(Read({}).oversubscribe);
}

TEST(SettingsTest, VariablesThatNothingReadsAreAccepted) {
  Read({{"CUDA_REDIRECT", "/somewhere"}, {"ACTIVE_OOM_KILLER", "0"}});
  EXPECT_TRUE(complaints.empty());
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
