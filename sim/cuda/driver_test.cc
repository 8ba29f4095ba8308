// libcuda.so.1 as a program sees it.
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "sim/cuda/cuda_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

constexpr const char* kOneCard = "cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100}]\n";

class DriverTest : public MachineTest {
 protected:
  // Runs body in a process of its own and expects it to find everything as it should be.
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

TEST_F(DriverTest, OutOfMemoryComesExactlyAtTheCardsSize) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda.Alloc(900 * kMiB + 1, &pointer) == kCudaOutOfMemory);
    CHILD_CHECK(cuda.Alloc(900 * kMiB, &pointer) == 0);
    uint64_t other = 0;
    CHILD_CHECK(cuda.Alloc(1, &other) == kCudaOutOfMemory);
    CHILD_CHECK(cuda.FreeBytes() == 0);
    CHILD_CHECK(cuda.Free(pointer) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda.Free(pointer) == kCudaInvalidValue);
    CHILD_CHECK(cuda.Free(0) == 0);
    CHILD_CHECK(cuda.Alloc(0, &pointer) == kCudaInvalidValue);
    return 0;
  });
  EXPECT_EQ(Books().Peak(0), 1000 * kMiB);
  EXPECT_EQ(UsedNow(0), 0u);
}

TEST_F(DriverTest, EveryContextTakesItsShare) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    void* own = nullptr;
    CHILD_CHECK(cuda("cuCtxCreate_v2", &own, 0u, 0) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 800 * kMiB);
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(kMiB, &pointer) == 0);
    CHILD_CHECK(cuda("cuCtxDestroy_v2", own) == 0);  // with what was allocated in it
    void* current = nullptr;
    CHILD_CHECK(cuda("cuCtxGetCurrent", &current) == 0 && current == cuda.context);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxRetain", &own, 0) == 0 && own == cuda.context);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxRelease_v2", 0) == 0);
    unsigned flags = 0;
    int active = 0;
    CHILD_CHECK(cuda("cuDevicePrimaryCtxGetState", 0, &flags, &active) == 0 && active == 1);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxRelease_v2", 0) == 0);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxGetState", 0, &flags, &active) == 0 && active == 0);
    CHILD_CHECK(cuda.Alloc(kMiB, &pointer) == kCudaContextIsDestroyed);
    return 0;
  });
}

TEST_F(DriverTest, AContextIsRefusedWhenTheCardIsFull) {
  WriteCards(kOneCard);
  Child holder([] {
    Cuda cuda;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(850 * kMiB, &pointer) == 0);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  ASSERT_TRUE(holder.AwaitWord());
  InChild([] {
    Library cuda("libcuda.so.1");
    void* context = nullptr;
    CHILD_CHECK(cuda("cuInit", 0u) == 0);
    CHILD_CHECK(cuda("cuDevicePrimaryCtxRetain", &context, 0) == kCudaOutOfMemory);
    return 0;
  });
  holder.Kill();
  InChild([] {  // a refusal sees the dead one's memory at once, and so does the first look
    Cuda cuda;
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(DriverTest, WithoutContextOrInitialisationTheCodesAreTheDrivers) {
  WriteCards(kOneCard);
  InChild([] {
    Library cuda("libcuda.so.1");
    int count = 0;
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuDeviceGetCount", &count) == kCudaNotInitialized);
    CHILD_CHECK(cuda("cuInit", 1u) == kCudaInvalidValue);
    CHILD_CHECK(cuda("cuInit", 0u) == 0 && cuda("cuInit", 0u) == 0);
    CHILD_CHECK(cuda("cuDeviceGetCount", &count) == 0 && count == 1);
    CHILD_CHECK(cuda("cuMemAlloc_v2", &pointer, size_t{1}) == kCudaInvalidContext);
    CHILD_CHECK(cuda("cuDeviceGet", &count, 1) == kCudaInvalidDevice);
    CHILD_CHECK(cuda("cuTexRefCreate", &pointer) == kCudaNotSupported);
    return 0;
  });
}

TEST_F(DriverTest, AForkOfAnInitialisedProcessMustNotUseCuda) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    const pid_t pid = fork();
    if (pid == 0) {
      uint64_t pointer = 0;
      const bool refused = cuda("cuInit", 0u) == kCudaNotInitialized &&
                           cuda.Alloc(kMiB, &pointer) == kCudaNotInitialized;
      _exit(refused ? 0 : 1);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    CHILD_CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    uint64_t pointer = 0;
    CHILD_CHECK(cuda.Alloc(kMiB, &pointer) == 0);  // the parent goes on
    return 0;
  });
}

TEST_F(DriverTest, ManyThreadsAllocateAndFreeWithoutLosingAByte) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    std::vector<std::thread> threads;
    std::atomic<int> wrong{0};
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        cuda("cuCtxSetCurrent", cuda.context);
        std::vector<uint64_t> held;
        for (int i = 0; i < 4000; ++i) {
          uint64_t pointer = 0;
          const uint64_t size = (uint64_t{1} << (i % 22)) + static_cast<uint64_t>(t);
          if (cuda.Alloc(size, &pointer) != 0) {
            ++wrong;
            continue;
          }
          uint64_t base = 0;
          size_t range = 0;
          if (cuda("cuMemGetAddressRange_v2", &base, &range, pointer + size - 1) != 0 ||
              base != pointer || range != size) {
            ++wrong;
          }
          held.push_back(pointer);
          if (held.size() > 20) {
            if (cuda.Free(held[i % 20]) != 0) ++wrong;
            held.erase(held.begin() + i % 20);
          }
        }
        for (uint64_t pointer : held) wrong += cuda.Free(pointer) != 0 ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    CHILD_CHECK(wrong == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(DriverTest, ReleasingMappedMemoryFreesNothing) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    CudaAllocationProperties properties = {};
    properties.type = 1;
    properties.location = {kLocationDevice, 0};
    void* handle = nullptr;
    uint64_t address = 0;
    const size_t size = 64 * kMiB;
    CHILD_CHECK(cuda("cuMemCreate", &handle, size, &properties, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemAddressReserve", &address, size, size_t{0}, uint64_t{0}, uint64_t{0}) ==
                0);
    CHILD_CHECK(cuda("cuMemMap", address, size, size_t{0}, handle, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuMemRelease", handle) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 836 * kMiB);  // still mapped
    CHILD_CHECK(cuda("cuMemsetD8_v2", address, static_cast<unsigned char>(1), size) == 0);
    CHILD_CHECK(cuda("cuMemsetD8_v2", address, static_cast<unsigned char>(1), size + 1) ==
                kCudaInvalidValue);
    CHILD_CHECK(cuda("cuMemUnmap", address, size) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    CHILD_CHECK(cuda("cuMemAddressFree", address, size) == 0);
    return 0;
  });
}

TEST_F(DriverTest, PoolsReserveChunksAndKeepThemUpToTheThreshold) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t pointer = 0;
    void* pool = nullptr;
    CHILD_CHECK(cuda("cuDeviceGetDefaultMemPool", &pool, 0) == 0);
    CHILD_CHECK(cuda("cuMemAllocAsync", &pointer, size_t{1}, static_cast<void*>(nullptr)) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 898 * kMiB);
    CHILD_CHECK(cuda("cuMemFreeAsync", pointer, static_cast<void*>(nullptr)) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 898 * kMiB);  // not before a synchronisation
    CHILD_CHECK(cuda("cuStreamSynchronize", static_cast<void*>(nullptr)) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    uint64_t threshold = 4 * kMiB;
    CHILD_CHECK(cuda("cuMemPoolSetAttribute", pool, 4, &threshold) == 0);
    CHILD_CHECK(cuda("cuMemAllocFromPoolAsync", &pointer, size_t{10 * kMiB}, pool,
                     static_cast<void*>(nullptr)) == 0);
    CHILD_CHECK(cuda.Free(pointer) == 0);  // cuMemFree takes pool memory too
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0);
    CHILD_CHECK(cuda.FreeBytes() == 896 * kMiB);
    CHILD_CHECK(cuda("cuMemPoolTrimTo", pool, size_t{0}) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(DriverTest, PitchAndArraysAreChargedByTheirRealSize) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t pointer = 0;
    size_t pitch = 0;
    CHILD_CHECK(cuda("cuMemAllocPitch_v2", &pointer, &pitch, size_t{1}, size_t{2048}, 4u) == 0);
    CHILD_CHECK(pitch == 512 && cuda.FreeBytes() == 899 * kMiB);
    CudaArray3dDescriptor shape = {1024, 1024, 4, 0x20, 4, 0};
    void* array = nullptr;
    CHILD_CHECK(cuda("cuArray3DCreate_v2", &array, &shape) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 835 * kMiB);
    CHILD_CHECK(cuda("cuArrayDestroy", array) == 0);
    CHILD_CHECK(cuda("cuArrayDestroy", array) == kCudaInvalidHandle);
    CHILD_CHECK(cuda.FreeBytes() == 899 * kMiB);
    return 0;
  });
}

TEST_F(DriverTest, CopiesCheckTheirRangesAndKeepDataWhenTold) {
  WriteCards(std::string("data: kept\n") + kOneCard);
  InChild([] {
    Cuda cuda;
    uint64_t a = 0, b = 0;
    CHILD_CHECK(cuda.Alloc(5000, &a) == 0 && cuda.Alloc(5000, &b) == 0);
    const std::string text(5000, 'x');
    std::string back(5000, ' ');
    CHILD_CHECK(cuda("cuMemcpyHtoD_v2", a, text.data(), size_t{5000}) == 0);
    CHILD_CHECK(cuda("cuMemcpyDtoDAsync_v2", b, a, size_t{5000}, static_cast<void*>(nullptr)) == 0);
    CHILD_CHECK(cuda("cuMemcpyDtoH_v2", back.data(), b, size_t{5000}) == 0);
    CHILD_CHECK(back == text);
    CHILD_CHECK(cuda("cuMemcpyHtoD_v2", a, text.data(), size_t{5001}) == kCudaInvalidValue);
    CHILD_CHECK(cuda("cuMemcpyDtoH_v2", back.data(), uint64_t{64}, size_t{1}) == kCudaInvalidValue);
    CHILD_CHECK(cuda("cuMemsetD32_v2", a, 7u, size_t{1250}) == 0);
    CHILD_CHECK(cuda("cuMemsetD32_v2", a, 7u, size_t{1251}) == kCudaInvalidValue);
    uint64_t managed = 0;
    CHILD_CHECK(cuda("cuMemAllocManaged", &managed, size_t{100}, 1u) == 0);
    *reinterpret_cast<char*>(managed) = 'y';
    CHILD_CHECK(cuda("cuMemcpyDtoH_v2", back.data(), managed, size_t{1}) == 0 && back[0] == 'y');
    return 0;
  });
}

TEST_F(DriverTest, AKernelTakesTheTimeThatItsHandleSays) {
  WriteCards(kOneCard);
  InChild([] {
    Cuda cuda;
    void* module = nullptr;
    void* kernel = nullptr;
    CHILD_CHECK(cuda("cuModuleLoadData", &module, "any") == 0);
    CHILD_CHECK(cuda("cuModuleGetFunction", &kernel, module, "k_250us_sgemm") == 0);
    CHILD_CHECK(reinterpret_cast<uintptr_t>(kernel) == 250'000);
    void* start = nullptr;
    void* end = nullptr;
    void* stream = nullptr;
    CHILD_CHECK(cuda("cuEventCreate", &start, 0u) == 0 && cuda("cuEventCreate", &end, 0u) == 0);
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
    // The second event is recorded behind a queue of two kernels: their time lies in between.
    CHILD_CHECK(cuda("cuLaunchKernel", kernel, 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream,
                     static_cast<void**>(nullptr), static_cast<void**>(nullptr)) == 0);
    CHILD_CHECK(cuda("cuEventRecord", start, stream) == 0);
    void* slow = reinterpret_cast<void*>(uintptr_t{40'000'000});
    CHILD_CHECK(cuda("cuLaunchKernel_ptsz", slow, 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream,
                     static_cast<void**>(nullptr), static_cast<void**>(nullptr)) == 0);
    CHILD_CHECK(cuda("cuEventRecord", end, stream) == 0);
    CHILD_CHECK(cuda("cuEventQuery", end) == kCudaNotReady);
    CHILD_CHECK(cuda("cuEventSynchronize", end) == 0);
    float ms = 0;
    CHILD_CHECK(cuda("cuEventElapsedTime", &ms, start, end) == 0);
    CHILD_CHECK(ms > 39.9f);
    CHILD_CHECK(cuda("cuStreamDestroy_v2", stream) == 0);
    CHILD_CHECK(cuda("cuStreamSynchronize", stream) == kCudaInvalidHandle);
    CHILD_CHECK(cuda("cuLaunchKernel", kernel, 0u, 1u, 1u, 1u, 1u, 1u, 0u,
                     static_cast<void*>(nullptr), static_cast<void**>(nullptr),
                     static_cast<void**>(nullptr)) == kCudaInvalidValue);
    return 0;
  });
}

TEST_F(DriverTest, FailuresComeAsOrderedAndStopWhenTheFileChanges) {
  WriteCards(std::string(kOneCard) + "failures: {cuMemAlloc_v2: {every: 3, code: 719}}\n");
  Child child([] {
    Cuda cuda;
    uint64_t pointer = 0;
    for (int i = 1; i <= 9; ++i) {
      CHILD_CHECK(cuda.Alloc(1, &pointer) == (i % 3 == 0 ? 719 : 0));
    }
    Child::SayReady();
    Child::AwaitGo();
    // The file is looked at every 10 ms at most: until then calls may fail as before.
    int in_a_row = 0;
    while (in_a_row < 9) in_a_row = cuda.Alloc(1, &pointer) == 0 ? in_a_row + 1 : 0;
    return 0;
  });
  ASSERT_TRUE(child.AwaitWord());
  WriteCards(kOneCard);
  child.SayGo();
  EXPECT_EQ(child.Wait(), 0);
}

struct Lookup {
  const char* symbol;
  int version;
  uint64_t flags;
  const char* expected;  // null: not found
};

class GetProcAddressTest : public DriverTest, public testing::WithParamInterface<Lookup> {};

TEST_P(GetProcAddressTest, GivesTheNewestVariantOfTheVersionAskedFor) {
  WriteCards(std::string("cuda: 12.8\n") + kOneCard);
  InChild([] {
    Library cuda("libcuda.so.1");
    void* function = nullptr;
    int status = -1;
    const Lookup& ask = GetParam();
    const int code =
        cuda("cuGetProcAddress_v2", ask.symbol, &function, ask.version, ask.flags, &status);
    if (ask.expected == nullptr) {
      CHILD_CHECK(code == kCudaNotFound && function == nullptr && status != 0);
      return 0;
    }
    CHILD_CHECK(code == 0 && status == 0);
    CHILD_CHECK(function == cuda.Symbol(ask.expected));
    return 0;
  });
}

INSTANTIATE_TEST_SUITE_P(
    Regressions, GetProcAddressTest,
    testing::Values(
        // A runtime of 11.8 calls it with four parameters.
        Lookup{"cuGetProcAddress", 11080, 0, "cuGetProcAddress"},
        Lookup{"cuGetProcAddress", 12000, 0, "cuGetProcAddress_v2"},
        // From 12.0 on the name stands for another function with other parameters.
        Lookup{"cuGraphInstantiate", 10000, 0, "cuGraphInstantiate"},
        Lookup{"cuGraphInstantiate", 11080, 0, "cuGraphInstantiate_v2"},
        Lookup{"cuGraphInstantiate", 12000, 0, "cuGraphInstantiateWithFlags"},
        Lookup{"cuMemAdvise", 11080, 0, "cuMemAdvise"},
        Lookup{"cuMemAdvise", 12020, 0, "cuMemAdvise_v2"},
        Lookup{"cuCtxCreate", 11030, 0, "cuCtxCreate_v2"},
        Lookup{"cuCtxCreate", 11040, 0, "cuCtxCreate_v3"},
        Lookup{"cuCtxCreate", 12050, 0, "cuCtxCreate_v4"},
        Lookup{"cuMemAlloc", 2000, 0, "cuMemAlloc"},
        Lookup{"cuMemAlloc", 12000, 0, "cuMemAlloc_v2"},
        Lookup{"cuEventElapsedTime", 12070, 0, "cuEventElapsedTime"},
        Lookup{"cuEventElapsedTime", 12080, 0, "cuEventElapsedTime_v2"},
        Lookup{"cuLaunchKernel", 12000, 1, "cuLaunchKernel"},
        Lookup{"cuLaunchKernel", 12000, 2, "cuLaunchKernel_ptsz"},
        Lookup{"cuMemcpyHtoD", 12000, 2, "cuMemcpyHtoD_v2_ptds"},
        Lookup{"cuStreamGetCaptureInfo", 12020, 2, "cuStreamGetCaptureInfo_v2_ptsz"},
        Lookup{"cuMemAllocAsync", 11010, 0, nullptr}, Lookup{"cuCreateNothing", 12000, 0, nullptr},
        Lookup{"cuMemAlloc_v2", 12000, 0, nullptr}));

TEST_F(DriverTest, AFunctionNewerThanTheDriverIsNotThere) {
  WriteCards(std::string("cuda: 11.8\n") + kOneCard);
  InChild([] {
    Library cuda("libcuda.so.1");
    void* function = nullptr;
    CHILD_CHECK(cuda("cuGetProcAddress", "cuMemAdvise", &function, 12020, uint64_t{0}) == 0);
    CHILD_CHECK(function == cuda.Symbol("cuMemAdvise"));
    CHILD_CHECK(cuda("cuGetProcAddress", "cuLibraryLoadData", &function, 12020, uint64_t{0}) ==
                kCudaNotFound);
    int version = 0;
    CHILD_CHECK(cuda("cuDriverGetVersion", &version) == 0 && version == 11080);
    return 0;
  });
}

TEST_F(DriverTest, OnlyCardsWhoseDeviceNodeOpensAreThere) {
  WriteCards("cards: [{model: Tesla T4, count: 4}]\n");
  std::filesystem::create_directory(folder_ + "/dev");
  for (const char* node : {"nvidia1", "nvidia3", "nvidiactl"}) {
    std::ofstream(folder_ + "/dev/" + node) << "";
  }
  std::filesystem::create_directory(folder_ +
                                    "/dev/nvidia2");  // there, but does not open for writing
  setenv("FAKEGPU_DEV", (folder_ + "/dev").c_str(), 1);
  const auto visible = [](std::vector<int> expected) {
    return [expected] {
      Library cuda("libcuda.so.1");
      int count = 0;
      CHILD_CHECK(cuda("cuInit", 0u) == (expected.empty() ? kCudaNoDevice : 0));
      if (expected.empty()) return 0;
      CHILD_CHECK(cuda("cuDeviceGetCount", &count) == 0);
      CHILD_CHECK(count == static_cast<int>(expected.size()));
      for (int i = 0; i < count; ++i) {
        char bus[20];
        char wanted[20];
        snprintf(wanted, sizeof wanted, "0000:%02x:00.0", 0x10 + 4 * expected[i]);
        CHILD_CHECK(cuda("cuDeviceGetPCIBusId", static_cast<char*>(bus), 20, i) == 0);
        CHILD_CHECK(std::string(bus) == wanted);
      }
      return 0;
    };
  };
  InChild(visible({1, 3}));
  setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  InChild(visible({3}));
  setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
  InChild(visible({3, 1}));
  setenv("CUDA_VISIBLE_DEVICES", "0,7,1", 1);
  InChild(visible({1}));
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  InChild(visible({}));
  unsetenv("CUDA_VISIBLE_DEVICES");
  setenv("FAKEGPU_DEV", "all", 1);
  InChild(visible({0, 1, 2, 3}));
  setenv("CUDA_VISIBLE_DEVICES", "GPU-", 1);  // a prefix of all of them names none
  InChild(visible({}));
}

TEST_F(DriverTest, EnvironmentOverridesTheFile) {
  WriteCards("cards: [{model: Tesla T4, count: 2}]\n");
  setenv("FAKEGPU_COUNT", "1", 1);
  setenv("FAKEGPU_MEM_MB", "500", 1);
  setenv("FAKEGPU_CTX_MB", "7", 1);
  InChild([] {
    Cuda cuda;
    int count = 0;
    CHILD_CHECK(cuda("cuDeviceGetCount", &count) == 0 && count == 1);
    CHILD_CHECK(cuda.FreeBytes() == 493 * kMiB);
    return 0;
  });
}

TEST_F(DriverTest, ABrokenFileMeansNoDeviceAndOneLine) {
  WriteCards("cards: [{model: Tesla T4, memory: 3}]\n");
  testing::internal::CaptureStderr();
  InChild([] {
    Library cuda("libcuda.so.1");
    CHILD_CHECK(cuda("cuInit", 0u) == kCudaNoDevice);
    CHILD_CHECK(cuda("cuInit", 0u) == kCudaNoDevice);
    return 0;
  });
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(said.begin(), said.end(), '\n'), 1) << said;
  EXPECT_NE(said.find("cards.yaml: line 1: unknown key \"memory\""), std::string::npos) << said;
}

}  // namespace
}  // namespace hami::sim
