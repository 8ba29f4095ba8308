// libcudart.so.12 of our own, on the simulated driver.
#include "sim/test_support.h"

namespace hami::sim {
namespace {

struct Dim {
  unsigned x = 1, y = 1, z = 1;
};
void* const kNull = nullptr;

class RuntimeTest : public MachineTest {
 protected:
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

// The libraries as a program's loader would find them.
struct Runtime : Library {
  Runtime() : Library((LoadLibrary("libcuda.so.1"), "libcudart.so.12")) {}
};

char g_stub, g_image[] = "fakegpu-module kib=2048";

void Register(const Runtime& cuda) {
  auto* image = reinterpret_cast<void** (*)(void*)>(cuda.Symbol("__cudaRegisterFatBinary"));
  auto* function =
      reinterpret_cast<void (*)(void**, const void*, char*, const char*, int, void*, void*, void*,
                                void*, int*)>(cuda.Symbol("__cudaRegisterFunction"));
  function(image(g_image), &g_stub, nullptr, "k_30000us", -1, nullptr, nullptr, nullptr, nullptr,
           nullptr);
}

TEST_F(RuntimeTest, MemoryGoesThroughTheDriver) {
  WriteCards("cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100}]\n");
  InChild([] {
    Runtime cuda;
    size_t free_bytes = 0, total = 0;
    int version = 0, count = 0;
    CHILD_CHECK(cuda("cudaGetDeviceCount", &count) == 0 && count == 1);
    CHILD_CHECK(cuda("cudaDriverGetVersion", &version) == 0 && version == 12020);
    CHILD_CHECK(cuda("cudaMemGetInfo", &free_bytes, &total) == 0);
    CHILD_CHECK(free_bytes == 900 * kMiB && total == 1000 * kMiB);
    void *a = nullptr, *b = nullptr;
    CHILD_CHECK(cuda("cudaMalloc", &a, size_t{900 * kMiB + 1}) == 2);
    CHILD_CHECK(cuda("cudaPeekAtLastError") == 2 && cuda("cudaGetLastError") == 2);
    CHILD_CHECK(cuda("cudaGetLastError") == 0);
    CHILD_CHECK(cuda("cudaMalloc", &a, size_t{100 * kMiB}) == 0);
    CHILD_CHECK(cuda("cudaMallocAsync", &b, size_t{100 * kMiB}, kNull) == 0);
    CHILD_CHECK(cuda("cudaMemGetInfo", &free_bytes, &total) == 0 && free_bytes == 700 * kMiB);
    char text[8] = "abc";
    CHILD_CHECK(cuda("cudaMemcpy", a, static_cast<void*>(text), size_t{8}, 1) == 0);
    CHILD_CHECK(cuda("cudaMemcpyAsync_ptsz", static_cast<void*>(text), a, size_t{8}, 2, kNull) ==
                0);
    CHILD_CHECK(cuda("cudaFreeAsync", b, kNull) == 0 && cuda("cudaFree", a) == 0);
    CHILD_CHECK(cuda("cudaDeviceSynchronize") == 0);
    CHILD_CHECK(cuda("cudaMemGetInfo", &free_bytes, &total) == 0 && free_bytes == 900 * kMiB);
    CHILD_CHECK(cuda("cudaMallocManaged", &a, size_t{kMiB}, 1u) == 0);
    CHILD_CHECK(cuda("cudaDeviceReset") == 0);
    CHILD_CHECK(cuda("cudaMemGetInfo", &free_bytes, &total) == 0 && free_bytes == 900 * kMiB);
    CHILD_CHECK(cuda("cudaSetDevice", 1) == 101);
    return 0;
  });
}

TEST_F(RuntimeTest, KernelsAndGraphsTakeTheirTime) {
  WriteCards("cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100}]\n");
  InChild([] {
    Runtime cuda;
    Register(cuda);
    size_t free_bytes = 0, total = 0;
    void *stream = nullptr, *start = nullptr, *end = nullptr, *graph = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cudaStreamCreateWithFlags", &stream, 1u) == 0);
    CHILD_CHECK(cuda("cudaEventCreate", &start) == 0 && cuda("cudaEventCreate", &end) == 0);
    const void* stub = &g_stub;
    const auto launch = [&](const char* name, const void* function, void* where) {
      return cuda(name, function, Dim{}, Dim{}, static_cast<void**>(nullptr), size_t{0}, where);
    };
    CHILD_CHECK(launch("cudaLaunchKernel", &stream, stream) == 98);  // nobody registered it
    CHILD_CHECK(launch("cudaLaunchKernel", stub, stream) == 0);
    CHILD_CHECK(cuda("cudaMemGetInfo", &free_bytes, &total) == 0 && free_bytes == 898 * kMiB);
    CHILD_CHECK(cuda("cudaEventRecord", end, stream) == 0);
    CHILD_CHECK(cuda("cudaEventQuery", end) == 600 && cuda("cudaGetLastError") == 600);
    CHILD_CHECK(cuda("cudaStreamSynchronize", stream) == 0 && cuda("cudaEventQuery", end) == 0);
    CHILD_CHECK(launch("cudaLaunchKernel_ptsz", stub, nullptr) == 0);
    CHILD_CHECK(cuda("cudaStreamQuery", kNull) == 600);  // blocking: the legacy stream waits
    CHILD_CHECK(cuda("cudaStreamSynchronize_ptsz", kNull) == 0);
    CHILD_CHECK(cuda("cudaStreamQuery_ptsz", kNull) == 0);
    CHILD_CHECK(cuda("cudaStreamBeginCapture", stream, 2) == 0);
    for (int i = 0; i < 3; ++i) CHILD_CHECK(launch("cudaLaunchKernel", stub, stream) == 0);
    CHILD_CHECK(cuda("cudaStreamSynchronize", stream) == 900);
    CHILD_CHECK(cuda("cudaStreamEndCapture", stream, &graph) == 901);
    CHILD_CHECK(cuda("cudaStreamBeginCapture", stream, 2) == 0);
    for (int i = 0; i < 3; ++i) CHILD_CHECK(launch("cudaLaunchKernel", stub, stream) == 0);
    CHILD_CHECK(cuda("cudaStreamEndCapture", stream, &graph) == 0);
    CHILD_CHECK(cuda("cudaGraphInstantiate", &exec, graph, uint64_t{0}) == 0);
    for (int i = 0; i < 10; ++i) CHILD_CHECK(launch("cudaLaunchKernel", stub, stream) == 0);
    CHILD_CHECK(cuda("cudaEventRecord", start, stream) == 0);
    CHILD_CHECK(cuda("cudaGraphLaunch", exec, stream) == 0);
    CHILD_CHECK(cuda("cudaEventRecord", end, stream) == 0);
    CHILD_CHECK(cuda("cudaEventSynchronize", end) == 0);
    float ms = 0;
    CHILD_CHECK(cuda("cudaEventElapsedTime", &ms, start, end) == 0 && ms > 89.9f && ms < 90.1f);
    CHILD_CHECK(cuda("cudaGraphExecDestroy", exec) == 0 && cuda("cudaGraphDestroy", graph) == 0);
    return 0;
  });
}

TEST_F(RuntimeTest, AnOlderDriverWithoutAFunctionIsInsufficientForIt) {
  WriteCards("cuda: 11.4\ncards: [{model: Tesla T4}]\n");
  InChild([] {
    Runtime cuda;
    void* pointer = nullptr;
    CHILD_CHECK(cuda("cudaMalloc", &pointer, size_t{1}) == 35);  // no 12.0: not this runtime's
    return 0;
  });
}

}  // namespace
}  // namespace hami::sim
