// Every way to launch a kernel takes its time on the card.
#include <iterator>

#include "sim/cuda/cuda_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

class LaunchTest : public MachineTest {
 protected:
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

void* const kNull = nullptr;
constexpr uint64_t kMs = 1'000'000;

struct LaunchFunction {
  const char* name;
  int (*call)(const Cuda& cuda, const char* name, void* function, void* stream);
};

int Ordinary(const Cuda& cuda, const char* name, void* function, void* stream) {
  return cuda(name, function, 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream, kNull, kNull);
}
int Cooperative(const Cuda& cuda, const char* name, void* function, void* stream) {
  return cuda(name, function, 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream, kNull);
}
int Extended(const Cuda& cuda, const char* name, void* function, void* stream) {
  CudaLaunchConfig config = {{1, 1, 1}, {1, 1, 1}, 0, static_cast<CudaStream*>(stream), nullptr, 0};
  return cuda(name, &config, function, kNull, kNull);
}
int Multi(const Cuda& cuda, const char* name, void* function, void* stream) {
  CudaLaunchParams params = {function, {1, 1, 1}, {1, 1, 1}, 0, static_cast<CudaStream*>(stream),
                             nullptr};
  return cuda(name, &params, 1u, 0u);
}
int Old(const Cuda& cuda, const char* name, void* function, void*) {
  return cuda("cuFuncSetBlockShape", function, 16, 16, 1) == 0 ? cuda(name, function) : -1;
}
int OldGrid(const Cuda& cuda, const char* name, void* function, void*) {
  return cuda(name, function, 2, 3);
}
int OldAsync(const Cuda& cuda, const char* name, void* function, void* stream) {
  return cuda(name, function, 2, 3, stream);
}

constexpr LaunchFunction kFunctions[] = {
    {"cuLaunchKernel", Ordinary},
    {"cuLaunchKernel_ptsz", Ordinary},
    {"cuLaunchCooperativeKernel", Cooperative},
    {"cuLaunchCooperativeKernel_ptsz", Cooperative},
    {"cuLaunchKernelEx", Extended},
    {"cuLaunchKernelEx_ptsz", Extended},
    {"cuLaunchCooperativeKernelMultiDevice", Multi},
    {"cuLaunch", Old},
    {"cuLaunchGrid", OldGrid},
    {"cuLaunchGridAsync", OldAsync},
};

TEST_F(LaunchTest, EveryFunctionTakesTheKernelsTimeOnTheCard) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  InChild([] {
    Cuda cuda;
    void *stream = nullptr, *events[std::size(kFunctions) + 1] = {};
    for (void*& event : events) CHILD_CHECK(cuda("cuEventCreate", &event, 0u) == 0);
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 0u) == 0);
    // All is queued behind a long kernel, so the program's own pace does not count. The legacy
    // stream waits for what went to it and for what went to the blocking stream.
    CHILD_CHECK(Ordinary(cuda, "cuLaunchKernel", reinterpret_cast<void*>(500 * kMs), stream) == 0);
    CHILD_CHECK(cuda("cuEventRecord", events[0], kNull) == 0);
    void* kernel = reinterpret_cast<void*>(7 * kMs);
    int at = 0;
    for (const LaunchFunction& launch : kFunctions) {
      if (launch.call(cuda, launch.name, kernel, stream) != 0) {
        fprintf(stderr, "%s fails\n", launch.name);
        return 1;
      }
      CHILD_CHECK(cuda("cuEventRecord", events[++at], kNull) == 0);
    }
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0);
    for (size_t i = 0; i < std::size(kFunctions); ++i) {
      float ms = 0;
      CHILD_CHECK(cuda("cuEventElapsedTime", &ms, events[i], events[i + 1]) == 0);
      if (ms < 6.9f || ms > 7.1f) {
        fprintf(stderr, "%s takes %f ms\n", kFunctions[i].name, static_cast<double>(ms));
        return 1;
      }
    }
    return 0;
  });
}

TEST_F(LaunchTest, ACooperativeGridMustFitOnTheCardAtOnce) {
  WriteCards("cards: [{model: Tesla T4, sm_count: 10}]\n");
  InChild([] {
    Cuda cuda;
    void* kernel = reinterpret_cast<void*>(kMs);
    CHILD_CHECK(cuda("cuLaunchCooperativeKernel", kernel, 20u, 1u, 1u, 1024u, 1u, 1u, 0u, kNull,
                     kNull) == 0);
    CHILD_CHECK(cuda("cuLaunchCooperativeKernel", kernel, 21u, 1u, 1u, 1024u, 1u, 1u, 0u, kNull,
                     kNull) == kCudaLaunchTooLarge);
    CHILD_CHECK(
        cuda("cuLaunchKernel", kernel, 21u, 1u, 1u, 1024u, 1u, 1u, 0u, kNull, kNull, kNull) == 0);
    return 0;
  });
}

TEST_F(LaunchTest, AMultiDeviceLaunchNeedsOneStreamPerCard) {
  WriteCards("cards: [{model: Tesla T4, count: 2}]\n");
  InChild([] {
    Cuda cuda;
    void *other = nullptr, *a = nullptr, *b = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &a, 1u) == 0);
    CHILD_CHECK(cuda("cuCtxCreate_v2", &other, 0u, 1) == 0);
    CHILD_CHECK(cuda("cuStreamCreate", &b, 1u) == 0);
    CudaLaunchParams list[2] = {{reinterpret_cast<void*>(20 * kMs),
                                 {1, 1, 1},
                                 {1, 1, 1},
                                 0,
                                 static_cast<CudaStream*>(a),
                                 nullptr},
                                {}};
    list[1] = list[0];
    CHILD_CHECK(cuda("cuLaunchCooperativeKernelMultiDevice", static_cast<void*>(list), 2u, 0u) ==
                kCudaInvalidValue);
    list[1].stream = static_cast<CudaStream*>(b);
    CHILD_CHECK(cuda("cuLaunchCooperativeKernelMultiDevice", static_cast<void*>(list), 2u, 0u) ==
                0);
    CHILD_CHECK(cuda("cuStreamQuery", a) == kCudaNotReady);
    CHILD_CHECK(cuda("cuStreamQuery", b) == kCudaNotReady);
    CHILD_CHECK(cuda("cuStreamSynchronize", a) == 0 && cuda("cuStreamSynchronize", b) == 0);
    return 0;
  });
}

TEST_F(LaunchTest, ASynchronousCopyWaitsForWhatWasLaunched) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  InChild([] {
    Cuda cuda;
    void *stream = nullptr, *apart = nullptr;
    uint64_t pointer = 0;
    char byte = 0;
    CHILD_CHECK(cuda.Alloc(16, &pointer) == 0);
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 0u) == 0 &&
                cuda("cuStreamCreate", &apart, 1u) == 0);
    CHILD_CHECK(Ordinary(cuda, "cuLaunchKernel", reinterpret_cast<void*>(20 * kMs), stream) == 0);
    CHILD_CHECK(Ordinary(cuda, "cuLaunchKernel", reinterpret_cast<void*>(5000 * kMs), apart) == 0);
    CHILD_CHECK(cuda("cuMemcpyDtoH_v2", &byte, pointer, size_t{1}) == 0);
    CHILD_CHECK(cuda("cuStreamQuery", stream) == 0);
    CHILD_CHECK(cuda("cuStreamQuery", apart) == kCudaNotReady);  // non-blocking: not waited for
    return 0;
  });
}

}  // namespace
}  // namespace hami::sim
