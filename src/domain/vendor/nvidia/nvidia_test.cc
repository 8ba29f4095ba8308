#include "domain/vendor/nvidia/nvidia.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hami::vendor {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using Kind = Change::Kind;

DeviceConfig Config() { return protocol::DefaultDeviceConfig(); }

Container Asking(ResourceMap limits, std::string name = "c") {
  Container c;
  c.name = std::move(name);
  c.limits = std::move(limits);
  return c;
}
Pod PodOf(std::vector<Container> containers) {
  Pod pod;
  pod.containers = std::move(containers);
  return pod;
}

// Admission's changes laid over the container, as the API server will.
ContainerRequest AfterAdmission(ResourceMap limits, const DeviceConfig& config = Config()) {
  Pod pod = PodOf({Asking(std::move(limits))});
  auto mutation = MutatePod(pod, config);
  EXPECT_TRUE(mutation) << mutation.error().message;
  for (const Change& change : mutation->changes) {
    if (change.kind == Kind::kSetLimit) pod.containers[0].limits[change.name] = change.value;
  }
  return ParseRequest(Nvidia(), Nvidia().hooks.settings(config), pod.containers[0]).value();
}

std::string Denial(ResourceMap limits) {
  auto mutation = MutatePod(PodOf({Asking(std::move(limits))}), Config());
  return mutation ? "" : mutation.error().message;
}

ContainerRequest Request(int count, int64_t memory, int percent, int64_t cores) {
  return {.count = count, .memory = {memory}, .memory_percent = percent, .cores = {cores}};
}

// spec/vendors.md G.
TEST(NvidiaTest, RequestVectorsOfTheSpec) {
  EXPECT_EQ(AfterAdmission({{"nvidia.com/gpu", "1"}}), Request(1, 0, 100, 100));
  EXPECT_EQ(AfterAdmission({{"nvidia.com/gpumem", "3000"}}), Request(1, 3000, 0, 0));
  EXPECT_EQ(AfterAdmission({{"nvidia.com/gpu", "2"}, {"nvidia.com/gpumem-percentage", "50"}}),
            Request(2, 0, 50, 0));
  EXPECT_EQ(AfterAdmission({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem-percentage", "0"}}),
            Request(1, 0, 100, 0));
  EXPECT_EQ(
      AfterAdmission(
          {{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "3k"}, {"nvidia.com/gpucores", "30"}}),
      Request(1, 3000, 0, 30));
}

TEST(NvidiaTest, ThePercentageDenialIsTheReferencesText) {
  for (std::string bad : {"101", "-1", "1.5", "x"}) {
    EXPECT_EQ(Denial({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem-percentage", bad}}),
              "invalid nvidia.com/gpumem-percentage value " + bad +
                  " in container c: must be an integer between 0 and 100");
  }
}

// Trap: 3Gi overflowed, became "no request", and the Pod failed on the node.
TEST(NvidiaTest, MemoryInBytesIsDeniedWithTheNumberToWrite) {
  EXPECT_EQ(Denial({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "3Gi"}}),
            "container \"c\": nvidia.com/gpumem \"3Gi\": unit is MiB, use 3072");
  // Complaint: "use 8796093022208", which was refused in its turn.
  for (std::string huge : {"99999999999999999999999", "100e21", "8Ei"}) {
    EXPECT_EQ(Denial({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", huge}}),
              "container \"c\": nvidia.com/gpumem \"" + huge +
                  "\": expected a whole number of MiB from 0 to 2147483647");
  }
  EXPECT_THAT(Denial({{"nvidia.com/gpumem", "1Gi"}}), HasSubstr("use 1024"));
  EXPECT_THAT(Denial({{"nvidia.com/gpumem", "3G"}}), HasSubstr("use 2862"));
  EXPECT_THAT(Denial({{"nvidia.com/gpumem", "-1"}}),
              HasSubstr("expected a whole number of MiB from 0 to 2147483647"));
  EXPECT_THAT(
      Denial({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpucores", "101"}}),
      HasSubstr("container \"c\": nvidia.com/gpucores \"101\": expected a whole percentage"));
}

TEST(NvidiaTest, TheMemoryFactorMultipliesAndBoundsRequests) {
  DeviceConfig config = Config();
  config.nvidia.memory_factor = 1024;
  EXPECT_EQ(AfterAdmission({{"nvidia.com/gpumem", "4"}}, config).memory, MiB{4096});
  auto denied = MutatePod(PodOf({Asking({{"nvidia.com/gpumem", "2097152"}})}), config);
  ASSERT_FALSE(denied);
  EXPECT_THAT(denied.error().message, HasSubstr("units of 1024 MiB from 0 to 2097151"));
}

TEST(NvidiaTest, DefaultsOfTheConfiguration) {
  DeviceConfig config = Config();
  config.nvidia.default_memory = {512};
  config.nvidia.default_cores = {5};
  EXPECT_EQ(
      AfterAdmission({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem-percentage", "0"}}, config),
      Request(1, 512, 0, 5));
}

TEST(NvidiaTest, TheExclusiveDefaultNeedsAWholeCard) {
  auto cores = [](ResourceMap limits) { return AfterAdmission(std::move(limits)).cores.value; };
  EXPECT_EQ(cores({{"nvidia.com/gpu", "1"}}), 100);
  EXPECT_EQ(cores({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem-percentage", "100"}}), 100);
  EXPECT_EQ(cores({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem-percentage", "99"}}), 0);
  EXPECT_EQ(cores({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "1"}}), 0);
  EXPECT_EQ(cores({{"nvidia.com/gpu", "1"}, {"nvidia.com/gpucores", "0"}}), 0);
}

// Trap: requests equal limits for extended resources, and defaulting has run already.
TEST(NvidiaTest, AChangedLimitTakesItsRequestAlong) {
  Container c = Asking({{"nvidia.com/gpu", "1"}});
  c.requests = {{"nvidia.com/gpu", "1"}, {"nvidia.com/gpucores", "7"}};
  EXPECT_THAT(MutatePod(PodOf({c}), Config())->changes, IsEmpty());  // cores are named
  c.requests.erase("nvidia.com/gpucores");
  EXPECT_THAT(MutatePod(PodOf({c}), Config())->changes,
              ElementsAre(Change{Kind::kSetLimit, 0, "nvidia.com/gpucores", "100"}));
}

TEST(NvidiaTest, ACountOfZeroIsNotARequest) {
  auto mutation =
      MutatePod(PodOf({Asking({{"nvidia.com/gpu", "0"}, {"nvidia.com/gpumem", "0"}})}), Config());
  ASSERT_TRUE(mutation);
  EXPECT_FALSE(mutation->uses_cards);
  EXPECT_THAT(mutation->changes, IsEmpty());
}

// Complaint: "gpu: 0, gpumem: 3000" was admitted and stayed Pending at a scheduler that knows
// neither.
TEST(NvidiaTest, AShareOfNoCardIsDenied) {
  EXPECT_EQ(
      Denial({{"nvidia.com/gpu", "0"}, {"nvidia.com/gpumem", "3000"}}),
      "container \"c\": nvidia.com/gpu \"0\": expected a whole number of cards from 1 to 1024 "
      "beside nvidia.com/gpumem \"3000\", or no nvidia.com/gpumem");
  for (std::string share : {"nvidia.com/gpumem-percentage", "nvidia.com/gpucores"}) {
    EXPECT_THAT(Denial({{"nvidia.com/gpu", "0"}, {share, "1"}}), HasSubstr("beside " + share));
    EXPECT_EQ(Denial({{"nvidia.com/gpu", "0"}, {share, "0"}}), "");
  }
}

// Complaint: zero took the whole card and 3000m became 3 MiB, both in silence.
TEST(NvidiaTest, MemoryOfZeroOrNextToNothingIsAWarning) {
  auto warnings = [](ResourceMap limits) {
    limits["nvidia.com/gpu"] = "1";
    return MutatePod(PodOf({Asking(std::move(limits))}), Config())->warnings;
  };
  for (std::string name : {"nvidia.com/gpumem", "nvidia.com/gpumem-percentage"}) {
    EXPECT_THAT(warnings({{name, "0"}}), ElementsAre("container \"c\": " + name +
                                                     " \"0\" means the whole memory of the card"));
  }
  EXPECT_THAT(warnings({{"nvidia.com/gpumem", "3000m"}}),
              ElementsAre(HasSubstr("nvidia.com/gpumem: 3 MiB cannot hold a context")));
  EXPECT_THAT(warnings({{"nvidia.com/gpumem", "64"}}), IsEmpty());
  EXPECT_THAT(warnings({{"nvidia.com/gpumem-percentage", "100"}}), IsEmpty());
  EXPECT_THAT(warnings({}), IsEmpty());
}

TEST(NvidiaTest, WithoutADefaultCountAShareAloneIsAWarning) {
  DeviceConfig config = Config();
  config.nvidia.default_count = 0;
  auto mutation = MutatePod(PodOf({Asking({{"nvidia.com/gpumem", "5"}})}), config);
  ASSERT_TRUE(mutation);
  EXPECT_FALSE(mutation->uses_cards);
  EXPECT_THAT(
      mutation->warnings,
      ElementsAre("container \"c\": nvidia.com/gpumem has no effect without nvidia.com/gpu"));
}

TEST(NvidiaTest, MemoryAndPercentageTogetherAreAWarning) {
  auto mutation = MutatePod(PodOf({Asking({{"nvidia.com/gpu", "1"},
                                           {"nvidia.com/gpumem", "500"},
                                           {"nvidia.com/gpumem-percentage", "10"}})}),
                            Config());
  ASSERT_TRUE(mutation);
  EXPECT_THAT(mutation->warnings, ElementsAre(HasSubstr("nvidia.com/gpumem wins")));
}

TEST(NvidiaTest, ThePriorityBecomesAnEnvironmentVariableOnce) {
  ResourceMap limits = {
      {"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "5"}, {"nvidia.com/priority", "1"}};
  Container c = Asking(limits);
  EXPECT_THAT(MutatePod(PodOf({c}), Config())->changes,
              ElementsAre(Change{Kind::kAddEnv, 0, "CUDA_TASK_PRIORITY", "1"}));
  c.env_names = {"CUDA_TASK_PRIORITY"};  // trap: duplicates break server-side apply
  EXPECT_THAT(MutatePod(PodOf({c}), Config())->changes, IsEmpty());
  c.limits["nvidia.com/priority"] = "-1";
  EXPECT_THAT(MutatePod(PodOf({c}), Config()).error().message, HasSubstr("nvidia.com/priority"));
}

// Complaint: 7 was taken in silence where 0 and 1 exist.
TEST(NvidiaTest, APriorityBeyondTheTwoLevelsIsAWarning) {
  ResourceMap limits = {{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "500"}};
  for (const char* level : {"0", "1"}) {
    limits["nvidia.com/priority"] = level;
    EXPECT_THAT(MutatePod(PodOf({Asking(limits)}), Config())->warnings, IsEmpty());
  }
  limits["nvidia.com/priority"] = "7";
  EXPECT_THAT(MutatePod(PodOf({Asking(limits)}), Config())->warnings,
              ElementsAre(HasSubstr("nvidia.com/priority \"7\": 0 is high and 1 is low")));
}

// Trap: the reference appends its variables to every container of every Pod in the cluster.
TEST(NvidiaTest, OnlyContainersWithCardsGetTheCorePolicyAndRuntimeClass) {
  DeviceConfig config = Config();
  config.nvidia.core_policy = protocol::CorePolicy::kForce;
  config.nvidia.runtime_class = "nvidia";
  ResourceMap limits = {{"nvidia.com/gpu", "1"}, {"nvidia.com/gpumem", "5"}};
  Pod pod = PodOf({Asking({}, "cpu"), Asking(limits, "a"), Asking(limits, "b")});
  EXPECT_THAT(MutatePod(pod, config)->changes,
              UnorderedElementsAre(Change{Kind::kAddEnv, 1, "GPU_CORE_UTILIZATION_POLICY", "force"},
                                   Change{Kind::kAddEnv, 2, "GPU_CORE_UTILIZATION_POLICY", "force"},
                                   Change{Kind::kSetRuntimeClass, 0, "", "nvidia"}));
  pod.runtime_class = "mine";
  EXPECT_EQ(MutatePod(pod, config)->changes.size(), 2u);
  EXPECT_THAT(MutatePod(PodOf({Asking({})}), config)->changes, IsEmpty());
}

TEST(NvidiaTest, OverwriteEnvHidesCardsFromOtherContainers) {
  DeviceConfig config = Config();
  config.nvidia.overwrite_env = true;
  Container set = Asking({}, "set");
  set.env_names = {"NVIDIA_VISIBLE_DEVICES"};
  EXPECT_THAT(MutatePod(PodOf({Asking({}), set}), config)->changes,
              ElementsAre(Change{Kind::kAddEnv, 0, "NVIDIA_VISIBLE_DEVICES", "none"}));
}

TEST(NvidiaTest, InitContainersCount) {
  Pod pod = PodOf({Asking({{"nvidia.com/gpu", "1"}}), Asking({})});
  pod.containers[0].kind = ContainerKind::kInit;
  EXPECT_TRUE(MutatePod(pod, Config())->uses_cards);
  EXPECT_FALSE(MutatePod(PodOf({Asking({})}), Config())->uses_cards);
}

}  // namespace
}  // namespace hami::vendor
