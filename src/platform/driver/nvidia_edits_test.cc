#include "platform/driver/nvidia_edits.h"

#include <gtest/gtest.h>

namespace hami::driver {
namespace {

EditRequest Request(std::vector<CardShare> shares) {
  return {.allocation_id = "0f3c5a52-9c1e-5a3b-8d1f-111111111111",
          .shares = std::move(shares),
          .files = {.hook_path = "/usr/local",
                    .library = "/usr/local/vgpu/libvgpu.so.0.1.0-0a1b2c3d",
                    .container_dir = "/usr/local/vgpu/containers/uid_c",
                    .cache_name = "0f3c.cache",
                    .limits_page = "",
                    .lock_dir = "/tmp/vgpulock"}};
}

const CardShare kSlice{.uuid = "GPU-a", .index = 0, .minor = 0, .memory = {3000}, .cores = {30}};

NvidiaOptions With(std::vector<std::string> strategies) {
  NvidiaOptions options;
  options.list_strategies = std::move(strategies);
  return options;
}

TEST(NvidiaEditsTest, EnvvarIsExactlyTheReferencesAnswer) {
  const ContainerEdits edits =
      NvidiaEdits(With({"envvar"}), NodeFacts{}, {.log_level = "1"}, Request({kSlice}));
  EXPECT_EQ(edits.envs, (std::map<std::string, std::string>{
                            {"NVIDIA_VISIBLE_DEVICES", "GPU-a"},
                            {"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"},
                            {"CUDA_DEVICE_SM_LIMIT", "30"},
                            {"CUDA_DEVICE_MEMORY_SHARED_CACHE", "/usr/local/vgpu/0f3c.cache"},
                            {"LIBCUDA_LOG_LEVEL", "1"}}));
  EXPECT_EQ(edits.mounts,
            (std::vector<EditMount>{
                {"/usr/local/vgpu/libvgpu.so", "/usr/local/vgpu/libvgpu.so.0.1.0-0a1b2c3d", true},
                {"/usr/local/vgpu", "/usr/local/vgpu/containers/uid_c", false},
                {"/tmp/vgpulock", "/tmp/vgpulock", false},
                {"/etc/ld.so.preload", "/usr/local/vgpu/ld.so.preload", true}}));
  EXPECT_TRUE(edits.devices.empty() && edits.annotations.empty() && edits.cdi_devices.empty());
}

TEST(NvidiaEditsTest, CdiCriNamesDevicesAndSetsNoVisibleDevices) {
  const ContainerEdits edits = NvidiaEdits(With({"cdi-cri"}), NodeFacts{}, {}, Request({kSlice}));
  EXPECT_EQ(edits.cdi_devices, std::vector<std::string>{"k8s.device-plugin.nvidia.com/gpu=GPU-a"});
  EXPECT_FALSE(edits.envs.contains("NVIDIA_VISIBLE_DEVICES"));
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_MEMORY_LIMIT_0"), "3000m");
}

TEST(NvidiaEditsTest, CdiAnnotationsCarryTheListUnderAStableKey) {
  NvidiaOptions options = With({"cdi-annotations"});
  options.imex_channels = {"0"};
  const ContainerEdits edits = NvidiaEdits(options, NodeFacts{}, {}, Request({kSlice}));
  EXPECT_EQ(edits.annotations,
            (std::map<std::string, std::string>{
                {"cdi.k8s.io/nvidia-device-plugin_0f3c5a52-9c1e-5a3b-8d1f-111111111111",
                 "k8s.device-plugin.nvidia.com/gpu=GPU-a,"
                 "k8s.device-plugin.nvidia.com/imex-channel=0"}}));
}

TEST(NvidiaEditsTest, VolumeMountsNameEachCardByAMountOfDevNull) {
  CardShare other = kSlice;
  other.uuid = "GPU-b";
  other.index = 1;
  const ContainerEdits edits =
      NvidiaEdits(With({"volume-mounts"}), NodeFacts{}, {}, Request({kSlice, other}));
  EXPECT_EQ(edits.envs.at("NVIDIA_VISIBLE_DEVICES"), "/var/run/nvidia-container-devices");
  EXPECT_EQ(edits.mounts[1],
            (EditMount{"/var/run/nvidia-container-devices/GPU-b", "/dev/null", false}));
}

TEST(NvidiaEditsTest, Trap11And12_TwoSharesOfOneCardAreOneDeviceAndTwoLimits) {
  CardShare second = kSlice;
  second.memory = {5000};
  second.cores = {50};
  const ContainerEdits edits =
      NvidiaEdits(With({"envvar"}), NodeFacts{}, {}, Request({kSlice, second}));
  EXPECT_EQ(edits.envs.at("NVIDIA_VISIBLE_DEVICES"), "GPU-a");
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_MEMORY_LIMIT_1"), "5000m");
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_SM_LIMIT"), "30");
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_SM_LIMIT_1"), "50");
}

TEST(NvidiaEditsTest, LimitsFollowTheOrderInWhichTheContainerCountsCards) {
  const CardShare third{.uuid = "GPU-c", .index = 2, .minor = 2, .memory = {7000}, .cores = {30}};
  const CardShare first{.uuid = "GPU-b", .index = 1, .minor = 1, .memory = {4000}, .cores = {30}};
  const ContainerEdits edits =
      NvidiaEdits(With({"envvar"}), NodeFacts{}, {}, Request({third, first}));
  EXPECT_EQ(edits.envs.at("NVIDIA_VISIBLE_DEVICES"), "GPU-c,GPU-b");
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_MEMORY_LIMIT_0"), "4000m");
  EXPECT_EQ(edits.envs.at("CUDA_DEVICE_MEMORY_LIMIT_1"), "7000m");
}

TEST(NvidiaEditsTest, SwitchesReachTheLimiter) {
  EditRequest request = Request({kSlice});
  request.control_disabled = true;
  request.files.licensed = true;
  request.files.limits_page = "/usr/local/vgpu/limits/uid_c";
  const ContainerEdits edits = NvidiaEdits(
      With({"envvar"}), NodeFacts{}, {.oversubscribe = true, .disable_core_limit = true}, request);
  EXPECT_EQ(edits.envs.at("CUDA_OVERSUBSCRIBE"), "true");
  EXPECT_EQ(edits.envs.at("GPU_CORE_UTILIZATION_POLICY"), "disable");
  EXPECT_FALSE(edits.envs.contains("LIBCUDA_LOG_LEVEL"));
  std::vector<std::string> inside;
  for (const EditMount& m : edits.mounts) inside.push_back(m.container_path);
  EXPECT_EQ(inside, (std::vector<std::string>{"/usr/local/vgpu/libvgpu.so", "/usr/local/vgpu",
                                              "/tmp/vgpulock", "/usr/local/vgpu/limits.ro",
                                              "/tmp/license", "/usr/bin/vgpuvalidator"}));
}

TEST(NvidiaEditsTest, CardsInMigModeGetNoLimiter) {
  EditRequest request = Request({kSlice});
  request.limited = false;
  const ContainerEdits edits = NvidiaEdits(With({"envvar"}), NodeFacts{}, {}, request);
  EXPECT_EQ(edits.envs.size(), 1u);
  EXPECT_TRUE(edits.mounts.empty());
}

TEST(NvidiaEditsTest, DeviceSpecsAreThoseThatExistAndTheShares) {
  NvidiaOptions options = With({"cdi-cri"});
  options.pass_device_specs = true;
  options.gds = true;
  options.id_strategy = "index";
  const NodeFacts facts{.dev_root = "/opt/driver",
                        .control_nodes = {"/dev/nvidiactl"},
                        .imex_nodes = {},
                        .has_gds = true};
  CardShare share = kSlice;
  share.index = 2;
  share.minor = 5;
  const ContainerEdits edits = NvidiaEdits(options, facts, {}, Request({share, share}));
  EXPECT_EQ(edits.devices,
            (std::vector<EditDevice>{{"/dev/nvidiactl", "/opt/driver/dev/nvidiactl", "rw"},
                                     {"/dev/nvidia5", "/opt/driver/dev/nvidia5", "rw"}}));
  EXPECT_EQ(edits.cdi_devices, (std::vector<std::string>{"k8s.device-plugin.nvidia.com/gpu=2",
                                                         "k8s.device-plugin.nvidia.com/gds=all"}));
  EXPECT_EQ(edits.envs.at("NVIDIA_GDS"), "enabled");
}

TEST(NvidiaOptionsTest, WrongValuesAreRefusedInTheReferencesWords) {
  auto message = [](auto change) {
    NvidiaOptions options;
    change(options);
    auto result = ValidateNvidiaOptions(options);
    return result ? std::string() : result.error().message;
  };
  EXPECT_EQ(message([](NvidiaOptions&) {}), "");
  EXPECT_TRUE(message([](auto& o) {
                o.list_strategies = {"magic"};
              }).starts_with("invalid --device-list-strategy option: magic"));
  EXPECT_EQ(message([](auto& o) { o.id_strategy = "name"; }),
            "invalid --device-id-strategy option: name");
  EXPECT_EQ(message([](auto& o) { o.mig_strategy = "some"; }), "unknown MIG strategy: some");
  EXPECT_TRUE(message([](auto& o) { o.mig_strategy = "mixed"; }).find("not supported yet") !=
              std::string::npos);
  EXPECT_EQ(message([](auto& o) {
              o.imex_channels = {"1", "2"};
            }),
            "invalid IMEX channel IDs: [1, 2]");
  EXPECT_NE(message([](auto& o) { o.cdi_extra_mounts = {"relative:/x"}; }), "");
}

TEST(NvidiaOptionsTest, ExtraMountsAreParsed) {
  EXPECT_EQ(*ParseExtraMount("/a:/b"), (ExtraMount{"/a", "/b", false}));
  EXPECT_EQ(*ParseExtraMount("/a:/b:ro"), (ExtraMount{"/a", "/b", true}));
  EXPECT_FALSE(ParseExtraMount("/a:/b:rx").has_value());
  EXPECT_FALSE(ParseExtraMount("/a").has_value());
}

TEST(NvidiaOptionsTest, FileFillsWhatTheCommandLineLeftOpen) {
  NvidiaOptions options;
  FlagSet flags("test", "");
  AddNvidiaFlags(flags, options);
  const char* argv[] = {"test", "--device-list-strategy=cdi-cri"};
  ASSERT_TRUE(flags.Parse(2, argv).has_value());
  auto file = ParseJson(R"({"version":"v1","flags":{"nvidiaDriverRoot":"/opt/d","gdsEnabled":true,
      "plugin":{"deviceListStrategy":["envvar"],"deviceIDStrategy":"index"}},
      "sharing":{},"imex":{"channelIDs":[0]}})");
  ASSERT_TRUE(file.has_value());
  auto warnings = ApplyUpstreamFile(*file, flags, options);
  ASSERT_TRUE(warnings.has_value());
  EXPECT_EQ(warnings->size(), 1u);
  EXPECT_EQ(options.list_strategies, std::vector<std::string>{"cdi-cri"});
  EXPECT_EQ(options.driver_root, "/opt/d");
  EXPECT_EQ(options.id_strategy, "index");
  EXPECT_EQ(options.imex_channels, std::vector<std::string>{"0"});
  EXPECT_TRUE(options.gds);
  auto other = ParseJson(R"({"version":"v2"})");
  EXPECT_EQ(ApplyUpstreamFile(*other, flags, options).error().message, "unknown version: v2");
}

}  // namespace
}  // namespace hami::driver
