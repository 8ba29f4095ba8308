// MIG instances, in CUDA and in NVML.
#include "sim/cuda/cuda_abi.h"
#include "sim/nvml/nvml_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

constexpr const char* kCards =
    "cards:\n"
    "  - model: NVIDIA A100-SXM4-40GB\n"
    "    uuid: GPU-00000000-0000-0000-0000-000000000001\n"
    "    context_mib: 100\n"
    "    mig:\n"
    "      - {profile: 3g.20gb, uuid: MIG-00000000-0000-0000-0000-000000000003}\n"
    "      - {profile: 1g.5gb, count: 2}\n"
    "  - {model: NVIDIA A100-SXM4-40GB, context_mib: 100}\n";
constexpr const char* kThird = "MIG-00000000-0000-0000-0000-000000000003";

class MigTest : public MachineTest {
 protected:
  void SetUp() override {
    MachineTest::SetUp();
    WriteCards(kCards);
  }
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

TEST_F(MigTest, AnInstanceIsADeviceOfItsOwnSize) {
  setenv("CUDA_VISIBLE_DEVICES", kThird, 1);
  InChild([] {
    Cuda cuda;
    int count = 0, sms = 0;
    size_t total = 0;
    uint64_t pointer = 0;
    char name[100];
    CHILD_CHECK(cuda("cuDeviceGetCount", &count) == 0 && count == 1);
    CHILD_CHECK(cuda("cuDeviceTotalMem_v2", &total, 0) == 0 && total == (20480 - 256) * kMiB);
    CHILD_CHECK(cuda("cuDeviceGetAttribute", &sms, 16, 0) == 0 && sms == 42);
    CHILD_CHECK(cuda("cuDeviceGetName", static_cast<char*>(name), 100, 0) == 0);
    CHILD_CHECK(std::string(name) == "NVIDIA A100-SXM4-40GB MIG 3g.20gb");
    CHILD_CHECK(cuda.Alloc(total - 100 * kMiB + 1, &pointer) == kCudaOutOfMemory);
    CHILD_CHECK(cuda.Alloc(total - 100 * kMiB, &pointer) == 0);
    CudaUuid own = {}, whole = {};
    CHILD_CHECK(cuda("cuDeviceGetUuid_v2", &own, 0) == 0 && own.bytes[15] == 3);
    CHILD_CHECK(cuda("cuDeviceGetUuid", &whole, 0) == 0 && whole.bytes[15] == 1);
    return 0;
  });
  unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_F(MigTest, VisibleDevicesNamesInstancesByEveryForm) {
  const auto total = [](uint64_t mib, int devices) {
    return [=] {
      Library cuda("libcuda.so.1");
      int count = 0;
      size_t bytes = 0;
      CHILD_CHECK(cuda("cuInit", 0u) == (devices == 0 ? kCudaNoDevice : 0));
      if (devices == 0) return 0;
      CHILD_CHECK(cuda("cuDeviceGetCount", &count) == 0 && count == devices);
      CHILD_CHECK(cuda("cuDeviceTotalMem_v2", &bytes, 0) == 0 && bytes == mib * kMiB);
      return 0;
    };
  };
  InChild(total(40960, 1));  // a whole card is there: no instance
  const std::pair<const char*, std::function<int()>> kCases[] = {
      {"0", total(20224, 1)},  // the first instance of the first card
      {"1", total(40960, 1)},
      {"MIG-00000000", total(20224, 1)},
      {"MIG-GPU-00000000-0000-0000-0000-000000000001/4/0", total(4864, 1)},
      {"GPU-00000000-0000-0000-0000-000000000001", total(0, 0)},  // not as a whole
  };
  for (const auto& [value, expected] : kCases) {
    setenv("CUDA_VISIBLE_DEVICES", value, 1);
    SCOPED_TRACE(value);
    InChild(expected);
  }
  unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_F(MigTest, NvmlTellsInstancesTheirCardAndTheirProcesses) {
  setenv("CUDA_VISIBLE_DEVICES", kThird, 1);
  Child holder([] {
    Cuda cuda;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(900 * kMiB, &pointer) == 0);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(holder.AwaitWord());
  InChild([&] {
    Library nvml("libnvidia-ml.so.1");
    void *card = nullptr, *instance = nullptr, *other = nullptr, *back = nullptr;
    unsigned count = 0, mode = 0, pending = 0, id = 0;
    CHILD_CHECK(nvml("nvmlInit_v2") == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetCount_v2", &count) == 0 && count == 2);
    CHILD_CHECK(nvml("nvmlDeviceGetHandleByIndex_v2", 0u, &card) == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetMigMode", card, &mode, &pending) == 0 && mode == 1);
    CHILD_CHECK(nvml("nvmlDeviceGetMigDeviceHandleByIndex", card, 0u, &instance) == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetMigDeviceHandleByIndex", card, 2u, &other) == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetMigDeviceHandleByIndex", card, 3u, &other) == kNvmlNotFound);
    CHILD_CHECK(nvml("nvmlDeviceGetHandleByUUID", kThird, &back) == 0 && back == instance);
    CHILD_CHECK(nvml("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", instance, &back) == 0);
    CHILD_CHECK(back == card);
    CHILD_CHECK(nvml("nvmlDeviceIsMigDeviceHandle", instance, &id) == 0 && id == 1);
    CHILD_CHECK(nvml("nvmlDeviceGetGpuInstanceId", instance, &id) == 0 && id == 3);
    CHILD_CHECK(nvml("nvmlDeviceGetGpuInstanceId", card, &id) == kNvmlNotSupported);
    struct {
      uint32_t sm_count, engines[5], gpu_slices, compute_slices;
      uint64_t memory_mib;
    } attributes = {};
    CHILD_CHECK(nvml("nvmlDeviceGetAttributes_v2", instance, &attributes) == 0);
    CHILD_CHECK(attributes.sm_count == 42 && attributes.gpu_slices == 3 &&
                attributes.memory_mib == 20224);
    NvmlMemory memory = {};
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", instance, &memory) == 0);
    CHILD_CHECK(memory.total == 20224 * kMiB && memory.used == 1000 * kMiB);
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", card, &memory) == 0);
    CHILD_CHECK(memory.total == 40960 * kMiB && memory.used == 1000 * kMiB);
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", other, &memory) == 0 && memory.used == 0);
    for (void* where : {card, instance}) {
      NvmlProcessV2 processes[4] = {};
      unsigned found = 4;
      CHILD_CHECK(nvml("nvmlDeviceGetComputeRunningProcesses_v3", where, &found,
                       static_cast<NvmlProcessV2*>(processes)) == 0);
      CHILD_CHECK(found == 1 && processes[0].pid == static_cast<uint32_t>(holder.pid()));
      CHILD_CHECK(processes[0].gpu_instance == 3 && processes[0].compute_instance == 0);
    }
    return 0;
  });
  unsetenv("CUDA_VISIBLE_DEVICES");
}

TEST_F(MigTest, InstancesMustFitOnTheirCard) {
  CardSet set;
  ReadError error;
  const std::string text =
      "cards: [{model: NVIDIA A100-SXM4-40GB, mig: [{profile: 3g.20gb, count: 3}]}]\n";
  EXPECT_FALSE(ParseCards(text.data(), text.size(), set, error));
  EXPECT_NE(std::string(error.text).find("9 of 7 slices"), std::string::npos) << error.text;
}

TEST_F(MigTest, PidsCanBeHiddenOrMovedAsAnotherPidNamespaceWould) {
  WriteCards("cards: [{model: Tesla T4}]\npid_offset: 1000000\n");
  Child holder([] {
    Cuda cuda;
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(holder.AwaitWord());
  const auto sees = [&](unsigned pid) {
    return [=] {
      Library nvml("libnvidia-ml.so.1");
      void* card = nullptr;
      NvmlProcessV2 processes[4] = {};
      unsigned found = 4;
      CHILD_CHECK(nvml("nvmlInit_v2") == 0);
      CHILD_CHECK(nvml("nvmlDeviceGetHandleByIndex_v2", 0u, &card) == 0);
      CHILD_CHECK(nvml("nvmlDeviceGetComputeRunningProcesses_v3", card, &found,
                       static_cast<NvmlProcessV2*>(processes)) == 0);
      CHILD_CHECK(found == (pid == 0 ? 0u : 1u) && processes[0].pid == pid);
      return 0;
    };
  };
  const auto pid = static_cast<unsigned>(holder.pid());
  InChild(sees(pid + 1000000));
  WriteCards("cards: [{model: Tesla T4}]\nhidden_pids: [" + std::to_string(pid) + "]\n");
  InChild(sees(0));
  WriteCards("cards: [{model: Tesla T4}]\nhidden_pids: all\n");
  InChild(sees(0));
}

}  // namespace
}  // namespace hami::sim
