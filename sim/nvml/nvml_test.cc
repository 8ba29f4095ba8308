// libnvidia-ml.so.1 as a program sees it.
#include <cstring>

#include "sim/nvml/nvml_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

class NvmlTest : public MachineTest {
 protected:
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

// nvmlInit done, and the handles of the first cards.
struct Nvml : Library {
  Nvml() : Library("libnvidia-ml.so.1") {
    if ((*this)("nvmlInit_v2") != 0) _exit(95);
    (*this)("nvmlDeviceGetCount_v2", &count);
    for (unsigned i = 0; i < count && i < 4; ++i) {
      (*this)("nvmlDeviceGetHandleByIndex_v2", i, &devices[i]);
    }
  }
  unsigned count = 0;
  void* devices[4] = {};
};

TEST_F(NvmlTest, AnswersNothingBeforeItIsInitialised) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  InChild([] {
    Library nvml("libnvidia-ml.so.1");
    unsigned count = 0;
    CHILD_CHECK(nvml("nvmlDeviceGetCount_v2", &count) == kNvmlUninitialized);
    CHILD_CHECK(nvml("nvmlShutdown") == kNvmlUninitialized);
    CHILD_CHECK(nvml("nvmlInit_v2") == 0 && nvml("nvmlInit_v2") == 0);
    CHILD_CHECK(nvml("nvmlShutdown") == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetCount_v2", &count) == 0 && count == 1);
    CHILD_CHECK(nvml("nvmlShutdown") == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetCount_v2", &count) == kNvmlUninitialized);
    return 0;
  });
}

TEST_F(NvmlTest, TellsWhatTheFileSays) {
  WriteCards("driver: 550.1\ncuda: 12.4\ncards: [{model: Tesla T4, numa: 1, minor: 5}]\n");
  InChild([] {
    Nvml nvml;
    char text[96];
    CHILD_CHECK(nvml("nvmlSystemGetDriverVersion", static_cast<char*>(text), 96u) == 0);
    CHILD_CHECK(std::string(text) == "550.1");
    CHILD_CHECK(nvml("nvmlSystemGetNVMLVersion", static_cast<char*>(text), 96u) == 0);
    CHILD_CHECK(std::string(text) == "12.550.1");
    int version = 0;
    CHILD_CHECK(nvml("nvmlSystemGetCudaDriverVersion_v2", &version) == 0 && version == 12040);
    CHILD_CHECK(nvml("nvmlDeviceGetName", nvml.devices[0], static_cast<char*>(text), 96u) == 0);
    CHILD_CHECK(std::string(text) == "Tesla T4");
    CHILD_CHECK(nvml("nvmlDeviceGetName", nvml.devices[0], static_cast<char*>(text), 4u) ==
                kNvmlInsufficientSize);
    CHILD_CHECK(nvml("nvmlDeviceGetUUID", nvml.devices[0], static_cast<char*>(text), 96u) == 0);
    void* same = nullptr;
    CHILD_CHECK(nvml("nvmlDeviceGetHandleByUUID", static_cast<char*>(text), &same) == 0);
    CHILD_CHECK(same == nvml.devices[0]);
    unsigned number = 0;
    CHILD_CHECK(nvml("nvmlDeviceGetMinorNumber", nvml.devices[0], &number) == 0 && number == 5);
    NvmlPciInfo pci;
    CHILD_CHECK(nvml("nvmlDeviceGetPciInfo_v3", nvml.devices[0], &pci) == 0);
    CHILD_CHECK(std::string(pci.bus_id) == "00000000:10:00.0");
    CHILD_CHECK(nvml("nvmlDeviceGetHandleByPciBusId_v2", static_cast<char*>(pci.bus_id), &same) ==
                0);
    CHILD_CHECK(nvml("nvmlDeviceGetHandleByIndex_v2", 1u, &same) == kNvmlInvalidArgument);
    CHILD_CHECK(nvml("nvmlDeviceGetUUID", &number, static_cast<char*>(text), 96u) ==
                kNvmlInvalidArgument);
    CHILD_CHECK(nvml("nvmlDeviceGetVgpuMetadata", nvml.devices[0]) == kNvmlNotSupported);
    return 0;
  });
}

TEST_F(NvmlTest, ShowsMemoryAndProcessesOfOthersAndForgetsTheDeadAtOnce) {
  WriteCards("cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100, count: 2}]\n");
  Child user([] {
    Cuda cuda(1);
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(50 * kMiB, &pointer) == 0);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(user.AwaitWord());
  const auto pid = static_cast<uint32_t>(user.pid());
  InChild([pid] {
    Nvml nvml;
    NvmlMemory memory;
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", nvml.devices[1], &memory) == 0);
    CHILD_CHECK(memory.used == 150 * kMiB && memory.free == 850 * kMiB);
    NvmlMemoryV2 v2 = {};
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo_v2", nvml.devices[1], &v2) == kNvmlVersionMismatch);
    v2.version = kMemoryV2;
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo_v2", nvml.devices[1], &v2) == 0);
    CHILD_CHECK(v2.total == v2.used + v2.free + v2.reserved);
    unsigned count = 0;
    CHILD_CHECK(nvml("nvmlDeviceGetComputeRunningProcesses_v3", nvml.devices[1], &count,
                     static_cast<void*>(nullptr)) == kNvmlInsufficientSize);
    CHILD_CHECK(count == 1);
    NvmlProcessV2 processes[2];
    count = 2;
    CHILD_CHECK(nvml("nvmlDeviceGetComputeRunningProcesses_v3", nvml.devices[1], &count,
                     static_cast<NvmlProcessV2*>(processes)) == 0);
    CHILD_CHECK(count == 1 && processes[0].pid == pid && processes[0].used == 150 * kMiB);
    NvmlProcessV1 old[2];
    CHILD_CHECK(nvml("nvmlDeviceGetComputeRunningProcesses", nvml.devices[1], &count,
                     static_cast<NvmlProcessV1*>(old)) == 0);
    CHILD_CHECK(old[0].pid == pid && old[0].used == 150 * kMiB);
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", nvml.devices[0], &memory) == 0 && memory.used == 0);
    return 0;
  });
  user.Kill();
  InChild([] {
    Nvml nvml;
    NvmlMemory memory;
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", nvml.devices[1], &memory) == 0 && memory.used == 0);
    return 0;
  });
}

// A queue of one long kernel: the card is busy throughout, whatever the host does.
int KeepCardBusy() {
  Cuda cuda;
  void* kernel = reinterpret_cast<void*>(uintptr_t{3'000'000'000});
  CHILD_CHECK(cuda("cuLaunchKernel", kernel, 1u, 1u, 1u, 1u, 1u, 1u, 0u,
                   static_cast<void*>(nullptr), static_cast<void**>(nullptr),
                   static_cast<void**>(nullptr)) == 0);
  Child::SayReady();
  Child::AwaitGo();
  return 0;
}

TEST_F(NvmlTest, UtilizationIsTheShareOfTheWindowThatKernelsRan) {
  WriteCards("utilization_window_ms: 100\ncards: [{model: Tesla T4}]\n");
  Child user(&KeepCardBusy);
  ASSERT_TRUE(user.AwaitWord());
  const auto pid = static_cast<uint32_t>(user.pid());
  InChild([pid] {
    Nvml nvml;
    NvmlUtilization rates = {};
    while (rates.gpu < 100) {  // until the window is full
      CHILD_CHECK(nvml("nvmlDeviceGetUtilizationRates", nvml.devices[0], &rates) == 0);
    }
    NvmlProcessSample samples[4];
    unsigned count = 4;
    CHILD_CHECK(nvml("nvmlDeviceGetProcessUtilization", nvml.devices[0],
                     static_cast<NvmlProcessSample*>(samples), &count, uint64_t{0}) == 0);
    CHILD_CHECK(count == 1 && samples[0].pid == pid && samples[0].sm == 100);
    return 0;
  });
  user.SayGo();
  EXPECT_EQ(user.Wait(), 0);
}

// As real drivers: the average of what was sampled after a stamp, and the newest sample's stamp.
TEST_F(NvmlTest, UtilizationOfProcessesIsLateAndSaysHowLate) {
  WriteCards("utilization_lag_ms: 300\nutilization_sample_ms: 100\ncards: [{model: Tesla T4}]\n");
  Child user(&KeepCardBusy);
  ASSERT_TRUE(user.AwaitWord());
  InChild([] {
    Nvml nvml;
    NvmlProcessSample samples[4];
    unsigned count = 0;
    const auto ask = [&](uint64_t since_us) {
      count = 4;
      return nvml("nvmlDeviceGetProcessUtilization", nvml.devices[0],
                  static_cast<NvmlProcessSample*>(samples), &count, since_us);
    };
    while (ask(0) != 0) {  // not shown yet
      CHILD_CHECK(count == 0);
    }
    const uint64_t stamp_us = samples[0].time_us;
    const auto now_us = static_cast<uint64_t>(NowRealtimeNs() / 1000);
    CHILD_CHECK(stamp_us + 300'000 <= now_us);
    CHILD_CHECK(stamp_us % 100'000 == 0 || stamp_us % 100'000 > 99'990);
    int result = ask(stamp_us);
    while (result == kNvmlNotFound) result = ask(stamp_us);  // nothing newer for up to 100 ms
    CHILD_CHECK(result == 0 && count == 1 && samples[0].time_us > stamp_us);
    CHILD_CHECK(samples[0].sm == 100);  // since that stamp the card was busy throughout
    return 0;
  });
  user.SayGo();
  EXPECT_EQ(user.Wait(), 0);
}

TEST_F(NvmlTest, AnInjectedXidReachesWhoeverListensAndNobodyElse) {
  WriteCards("cards: [{model: Tesla T4, count: 2}]\n");
  Child listener([] {
    Nvml nvml;
    void* set = nullptr;
    NvmlEventData data = {};
    CHILD_CHECK(nvml("nvmlEventSetCreate", &set) == 0);
    uint64_t types = 0;
    CHILD_CHECK(nvml("nvmlDeviceGetSupportedEventTypes", nvml.devices[0], &types) == 0);
    CHILD_CHECK((types & kEventXid) != 0);
    CHILD_CHECK(nvml("nvmlDeviceRegisterEvents", nvml.devices[1], kEventXid, set) == 0);
    CHILD_CHECK(nvml("nvmlEventSetWait_v2", set, &data, 0u) == kNvmlTimeout);
    Child::SayReady();
    CHILD_CHECK(nvml("nvmlEventSetWait_v2", set, &data, 60'000u) == 0);
    CHILD_CHECK(data.type == kEventXid && data.data == 79);
    CHILD_CHECK(reinterpret_cast<void*>(data.device) == nvml.devices[1]);
    CHILD_CHECK(nvml("nvmlEventSetWait_v2", set, &data, 0u) == kNvmlTimeout);
    CHILD_CHECK(nvml("nvmlEventSetFree", set) == 0);
    return 0;
  });
  ASSERT_TRUE(listener.AwaitWord());
  Books().AddEvent(0, 48);  // the card that nobody listens to
  Books().AddEvent(1, 79);
  EXPECT_EQ(listener.Wait(), 0);
}

TEST_F(NvmlTest, AScriptedXidAndALostCardComeWithTheChangedFile) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  Child listener([] {
    Nvml nvml;
    void* set = nullptr;
    NvmlEventData data = {};
    CHILD_CHECK(nvml("nvmlEventSetCreate", &set) == 0);
    CHILD_CHECK(nvml("nvmlDeviceRegisterEvents", nvml.devices[0], kEventXid, set) == 0);
    Child::SayReady();
    CHILD_CHECK(nvml("nvmlEventSetWait_v2", set, &data, 60'000u) == 0 && data.data == 31);
    int code = kNvmlTimeout;
    while (code == kNvmlTimeout) code = nvml("nvmlEventSetWait_v2", set, &data, 1000u);
    CHILD_CHECK(code == kNvmlGpuIsLost);
    NvmlMemory memory;
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", nvml.devices[0], &memory) == kNvmlGpuIsLost);
    Child::SayReady();
    while (code == kNvmlGpuIsLost) code = nvml("nvmlDeviceGetMemoryInfo", nvml.devices[0], &memory);
    CHILD_CHECK(code == 0);
    return 0;
  });
  ASSERT_TRUE(listener.AwaitWord());
  WriteCards(
      "cards: [{model: Tesla T4, health_script: [{at: 0s, state: xid:31}, "
      "{at: 50ms, state: lost}]}]\n");
  ASSERT_TRUE(listener.AwaitWord());
  WriteCards("cards: [{model: Tesla T4}]\n");
  EXPECT_EQ(listener.Wait(), 0);
}

TEST_F(NvmlTest, LinksAreWhatTheFileSays) {
  WriteCards(
      "cards: [{model: Tesla T4, count: 3, numa: 0}, {model: Tesla T4, numa: 1, nvswitch_links: "
      "1}]\n"
      "links: [{between: [0, 1], nvlink: 2, pcie: single}]\n");
  InChild([] {
    Nvml nvml;
    unsigned value = 0;
    const auto level = [&](int a, int b) {
      unsigned found = 99;
      nvml("nvmlDeviceGetTopologyCommonAncestor", nvml.devices[a], nvml.devices[b], &found);
      return found;
    };
    CHILD_CHECK(level(0, 1) == 10 && level(0, 2) == 40 && level(0, 3) == 50);
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkState", nvml.devices[0], 1u, &value) == 0 && value == 1);
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkState", nvml.devices[0], 2u, &value) == 0 && value == 0);
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkState", nvml.devices[2], 0u, &value) == kNvmlNotSupported);
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkState", nvml.devices[0], 18u, &value) ==
                kNvmlInvalidArgument);
    NvmlPciInfo remote;
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkRemotePciInfo_v2", nvml.devices[0], 0u, &remote) == 0);
    CHILD_CHECK(std::string(remote.bus_id) == "00000000:14:00.0");
    CHILD_CHECK(nvml("nvmlDeviceGetNvLinkRemoteDeviceType", nvml.devices[3], 0u, &value) == 0);
    CHILD_CHECK(value == 2);
    return 0;
  });
}

TEST_F(NvmlTest, WorksWithoutAStateFileThatCanBeMade) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  setenv("FAKEGPU_STATE", "/proc/no/such/folder/state", 1);
  InChild([] {
    Nvml nvml;
    NvmlMemory memory;
    CHILD_CHECK(nvml("nvmlDeviceGetMemoryInfo", nvml.devices[0], &memory) == 0 && memory.used == 0);
    return 0;
  });
}

}  // namespace
}  // namespace hami::sim
