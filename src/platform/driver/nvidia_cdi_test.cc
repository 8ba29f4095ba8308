#include "platform/driver/nvidia_cdi.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "platform/driver/nvidia_node.h"
#include "platform/driver/nvml_stub.h"

namespace hami::driver {
namespace {

class NvidiaCdiTest : public testing::Test {
 protected:
  NvidiaCdiTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-cdi-XXXXXX").string();
    root_ = ::mkdtemp(pattern.data());
    for (const char* file : {"/usr/lib/x86_64-linux-gnu/libcuda.so.550.54.15",
                             "/usr/lib/x86_64-linux-gnu/libcuda.so.1",
                             "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.550.54.15",
                             "/usr/lib/x86_64-linux-gnu/libnvidia-gpucomp.so.550.54.15",
                             "/usr/lib/x86_64-linux-gnu/libother.so.1", "/usr/bin/nvidia-smi",
                             "/dev/nvidiactl", "/dev/nvidia4", "/dev/nvidia5", "/dev/nvidia-fs0"}) {
      Touch(root_ + file);
    }
  }
  ~NvidiaCdiTest() override { std::filesystem::remove_all(root_); }
  static void Touch(const std::string& path) {
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    EXPECT_TRUE(RealFileSystem().WriteAtomic(path, "x", 0644));
  }
  std::string root_;
};

TEST_F(NvidiaCdiTest, LibrariesAreFoundWithTheirSonames) {
  const DriverFiles files = FindDriverFiles(RealFileSystem(), {root_, "/opt/driver"}, "550.54.15");
  const std::string host = "/opt/driver/usr/lib/x86_64-linux-gnu/";
  EXPECT_EQ(files.libraries,
            (std::vector<std::pair<std::string, std::string>>{
                {host + "libcuda.so.550.54.15", "libcuda.so.550.54.15"},
                {host + "libcuda.so.550.54.15", "libcuda.so.1"},
                {host + "libnvidia-gpucomp.so.550.54.15", "libnvidia-gpucomp.so.550.54.15"},
                {host + "libnvidia-ml.so.550.54.15", "libnvidia-ml.so.550.54.15"},
                {host + "libnvidia-ml.so.550.54.15", "libnvidia-ml.so.1"}}));
  EXPECT_EQ(files.programs, (std::vector<std::pair<std::string, std::string>>{
                                {"/opt/driver/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"}}));
}

TEST_F(NvidiaCdiTest, SpecNamesNodesLibrariesAndExtraMountsAndHasNoHooks) {
  NvidiaOptions options;
  options.cdi_extra_mounts = {"/opt/driver/run/x:/run/x:ro"};
  const NodeFacts facts{.dev_root = "/opt/driver", .control_nodes = {"/dev/nvidiactl"}};
  CardInfo card;
  card.uuid = "GPU-a";
  card.device_node = "/dev/nvidia4";
  const CdiSpec spec =
      GpuSpec(options, facts,
              FindDriverFiles(RealFileSystem(), {root_, "/opt/driver"}, "550.54.15"), {card});
  EXPECT_EQ(spec.file_name, "k8s.device-plugin.nvidia.com-gpu.json");
  auto json = ParseJson(spec.json);
  ASSERT_TRUE(json.has_value()) << spec.json;
  EXPECT_EQ(StringAt(*json, {"kind"}), "k8s.device-plugin.nvidia.com/gpu");
  EXPECT_EQ(StringAt(*json, {"cdiVersion"}), "0.5.0");
  const Json& device = json->at("devices").at(0);
  EXPECT_EQ(StringAt(device, {"name"}), "GPU-a");
  const Json& node = device.at("containerEdits").at("deviceNodes").at(0);
  EXPECT_EQ(StringAt(node, {"path"}), "/dev/nvidia4");
  EXPECT_EQ(StringAt(node, {"hostPath"}), "/opt/driver/dev/nvidia4");
  EXPECT_EQ(StringAt(json->at("devices").at(1), {"name"}), "all");
  EXPECT_EQ(spec.json.find("hooks"), std::string::npos);
  const auto& mounts = json->at("containerEdits").at("mounts").as_array();
  auto mounted = [&](std::string_view inside) {
    return std::ranges::any_of(
        mounts, [&](const Json& m) { return StringAt(m, {"containerPath"}) == inside; });
  };
  EXPECT_TRUE(mounted("/usr/lib64/libcuda.so.1"));
  EXPECT_TRUE(mounted("/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1") ||
              mounted("/usr/lib/aarch64-linux-gnu/libnvidia-ml.so.1"));
  EXPECT_TRUE(mounted("/usr/bin/nvidia-smi"));
  EXPECT_TRUE(mounted("/run/x"));
}

TEST_F(NvidiaCdiTest, NodeWritesSpecsOnceAndRemovesThem) {
  void* library = ::dlopen(HAMI_NVML_STUB, RTLD_NOW | RTLD_LOCAL);
  *static_cast<NvmlStub*>(::dlsym(library, "nvml_stub")) = NvmlStub{};
  NvidiaOptions options;
  options.library = HAMI_NVML_STUB;
  options.driver_root = root_;
  options.list_strategies = {"cdi-cri"};
  options.cdi_root = root_ + "/cdi";
  options.gds = true;
  options.mofed = true;
  auto node = MakeNvidiaNode(RealFileSystem(), options, {}, *XidFilter::Parse("", ""));
  ASSERT_TRUE(node->Load().has_value());
  auto cards = node->backend().Enumerate();
  ASSERT_TRUE(cards.has_value());
  ASSERT_TRUE(node->Prepare(*cards).has_value());
  const std::string gpu = options.cdi_root + "/k8s.device-plugin.nvidia.com-gpu.json";
  const auto first = RealFileSystem().Stat(gpu);
  ASSERT_TRUE(first.has_value());
  EXPECT_TRUE(RealFileSystem().Exists(options.cdi_root + "/k8s.device-plugin.nvidia.com-gds.json"));
  EXPECT_FALSE(
      RealFileSystem().Exists(options.cdi_root + "/k8s.device-plugin.nvidia.com-mofed.json"));
  ASSERT_TRUE(node->Prepare(*cards).has_value());
  EXPECT_EQ(RealFileSystem().Stat(gpu)->st_ino, first->st_ino);
  EXPECT_EQ(node->SocketName("nvidia.com/gpu"), "hami-nvidia-gpu.sock");
  ASSERT_TRUE(node->RemoveHostFiles().has_value());
  EXPECT_TRUE(RealFileSystem().List(options.cdi_root)->empty());
}

TEST_F(NvidiaCdiTest, RequiredImexChannelThatIsMissingIsAnError) {
  NvidiaOptions options;
  options.library = HAMI_NVML_STUB;
  options.driver_root = root_;
  options.imex_channels = {"0"};
  options.imex_required = true;
  auto node = MakeNvidiaNode(RealFileSystem(), options, {}, *XidFilter::Parse("", ""));
  ASSERT_TRUE(node->Load().has_value());
  EXPECT_EQ(node->Prepare({}).error().code, Code::kFailedPrecondition);
  Touch(root_ + "/dev/nvidia-caps-imex-channels/channel0");
  EXPECT_TRUE(node->Prepare({}).has_value());
}

}  // namespace
}  // namespace hami::driver
