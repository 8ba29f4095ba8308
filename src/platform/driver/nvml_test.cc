#include "platform/driver/nvml.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>

#include "platform/driver/nvml_abi.h"
#include "platform/driver/nvml_stub.h"

namespace hami::driver {
namespace {

class NvmlTest : public testing::Test {
 protected:
  NvmlTest() {
    void* library = ::dlopen(HAMI_NVML_STUB, RTLD_NOW | RTLD_LOCAL);
    stub_ = static_cast<NvmlStub*>(::dlsym(library, "nvml_stub"));
    *stub_ = NvmlStub{};
    std::string pattern = (std::filesystem::temp_directory_path() / "hami-nvml-XXXXXX").string();
    sysfs_ = ::mkdtemp(pattern.data());
    const std::string device = sysfs_ + "/bus/pci/devices/0000:3b:00.0";
    std::filesystem::create_directories(device);
    EXPECT_TRUE(RealFileSystem().WriteAtomic(device + "/numa_node", "1\n", 0644));
  }
  ~NvmlTest() override { std::filesystem::remove_all(sysfs_); }

  std::unique_ptr<Backend> Load() {
    auto backend =
        LoadNvml(RealFileSystem(), {.library = HAMI_NVML_STUB, .driver_root = "", .sysfs = sysfs_});
    EXPECT_TRUE(backend.has_value());
    return backend ? std::move(*backend) : nullptr;
  }

  NvmlStub* stub_;
  std::string sysfs_;
};

TEST_F(NvmlTest, CardsAreDescribedInOneForm) {
  auto backend = Load();
  auto cards = backend->Enumerate();
  ASSERT_TRUE(cards.has_value());
  ASSERT_EQ(cards->size(), 2u);
  const CardInfo& card = cards->front();
  EXPECT_EQ(card.uuid, "GPU-a");
  EXPECT_EQ(card.model, "NVIDIA-Tesla P4");
  EXPECT_EQ(card.minor, 4u);
  EXPECT_EQ(card.device_node, "/dev/nvidia4");
  EXPECT_EQ(card.memory, Bytes{40960LL << 20});
  EXPECT_EQ(card.pci_bus_id, "0000:3b:00.0");
  EXPECT_EQ(card.numa, 1);
  EXPECT_EQ(cards->back().numa, std::nullopt);
  EXPECT_EQ(backend->DriverVersion(), "550.54.15");
}

TEST_F(NvmlTest, Trap7_LostCardIsListedWithItsFault) {
  auto backend = Load();
  ASSERT_TRUE(backend->Enumerate().has_value());
  stub_->handle_result[1] = nvml::kGpuLost;
  auto cards = backend->Enumerate();
  ASSERT_TRUE(cards.has_value());
  ASSERT_EQ(cards->size(), 2u);
  EXPECT_EQ(cards->back().uuid, "GPU-b");
  EXPECT_EQ(cards->back().fault, "get handle of NVML device 1: GPU is lost");
  EXPECT_EQ(cards->front().fault, "");
}

TEST_F(NvmlTest, Trap7_CountFailureIsAnErrorNotACrash) {
  auto backend = Load();
  stub_->count_result = 999;
  auto cards = backend->Enumerate();
  ASSERT_FALSE(cards.has_value());
  EXPECT_EQ(cards.error().message, "count NVML devices: some error");
}

TEST_F(NvmlTest, MemoryThatCannotBeToldIsUnknown) {
  auto backend = Load();
  stub_->memory_result[0] = nvml::kNotSupported;
  stub_->memory_result[1] = 999;
  auto cards = backend->Enumerate();
  ASSERT_TRUE(cards.has_value());
  EXPECT_EQ(cards->front().memory, std::nullopt);
  EXPECT_EQ(cards->front().fault, "");
  EXPECT_EQ(cards->back().fault, "get memory of GPU-b: some error");
}

TEST_F(NvmlTest, TextWithoutTerminatorIsBounded) {
  stub_->unterminated = true;
  auto cards = Load()->Enumerate();
  ASSERT_TRUE(cards.has_value());
  EXPECT_EQ(cards->front().uuid.size(), 127u);
}

TEST_F(NvmlTest, EventsNameTheirCard) {
  auto backend = Load();
  EXPECT_EQ(backend->WaitEvents(std::chrono::milliseconds(1)), std::vector<HealthEvent>{});
  stub_->xid = 79;
  EXPECT_EQ(backend->WaitEvents(std::chrono::milliseconds(1)),
            (std::vector<HealthEvent>{{.uuid = "GPU-b", .code = 79}}));
  stub_->wait_result = nvml::kGpuLost;
  EXPECT_EQ(backend->WaitEvents(std::chrono::milliseconds(1)).error().code, Code::kUnavailable);
}

TEST_F(NvmlTest, FailedInitKeepsTheReferencesWords) {
  stub_->init = 999;
  auto backend = LoadNvml(RealFileSystem(), {.library = HAMI_NVML_STUB, .driver_root = ""});
  ASSERT_FALSE(backend.has_value());
  EXPECT_TRUE(backend.error().message.starts_with("Failed to initialize NVML: some error"));
}

TEST_F(NvmlTest, MissingLibraryNamesWhatWasTried) {
  auto backend =
      LoadNvml(RealFileSystem(), {.library = "/none/libnvidia-ml.so.1", .driver_root = ""});
  ASSERT_FALSE(backend.has_value());
  EXPECT_EQ(backend.error().code, Code::kNotFound);
  EXPECT_NE(backend.error().message.find("/none/libnvidia-ml.so.1"), std::string::npos);
}

TEST_F(NvmlTest, DriverRootIsSearchedBeforeTheLoadersOwnPath) {
  const std::string folder = sysfs_ + "/usr/lib/x86_64-linux-gnu";
  std::filesystem::create_directories(folder);
  EXPECT_TRUE(RealFileSystem().WriteAtomic(folder + "/libnvidia-ml.so.1", "", 0644));
  EXPECT_EQ(NvmlCandidates(RealFileSystem(), {.library = "", .driver_root = sysfs_}),
            (std::vector<std::string>{folder + "/libnvidia-ml.so.1", "libnvidia-ml.so.1"}));
  EXPECT_EQ(NvmlCandidates(RealFileSystem(), {.library = "", .driver_root = ""}),
            std::vector<std::string>{"libnvidia-ml.so.1"});
}

}  // namespace
}  // namespace hami::driver
