// Graphs and stream capture of libcuda.so.1.
#include <thread>
#include <vector>

#include "sim/cuda/cuda_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

constexpr const char* kOneCard = "cards: [{model: Tesla T4, memory_mib: 1000, context_mib: 100}]\n";
constexpr int kGlobal = 0, kThreadLocal = 1, kRelaxed = 2;
void* const kNull = nullptr;

class GraphTest : public MachineTest {
 protected:
  void SetUp() override {
    MachineTest::SetUp();
    WriteCards(kOneCard);
  }
  void InChild(const std::function<int()>& body) {
    Child child(body);
    EXPECT_EQ(child.Wait(), 0);
  }
};

CudaKernelNode Kernel(uint64_t ns) {
  CudaKernelNode kernel = {};
  kernel.function = reinterpret_cast<void*>(ns);
  for (int i = 0; i < 3; ++i) kernel.grid[i] = kernel.block[i] = 1;
  return kernel;
}

CudaAllocNode Allocation(size_t size) {
  CudaAllocNode alloc = {};
  alloc.pool.alloc_type = 1;
  alloc.pool.location = {kLocationDevice, 0};
  alloc.size = size;
  return alloc;
}

int Launch(const Cuda& cuda, uint64_t ns, void* stream) {
  return cuda("cuLaunchKernel", reinterpret_cast<void*>(ns), 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream,
              static_cast<void**>(nullptr), static_cast<void**>(nullptr));
}

uint64_t Memory(const Cuda& cuda, int attribute) {
  uint64_t value = ~uint64_t{0};
  if (cuda("cuDeviceGetGraphMemAttribute", 0, attribute, &value) != 0) return ~uint64_t{0};
  return value;
}
constexpr int kUsed = 0, kReserved = 2;

TEST_F(GraphTest, ALaunchTakesAsLongAsItsKernelsTogether) {
  InChild([] {
    Cuda cuda;
    void *graph = nullptr, *child = nullptr, *a = nullptr, *b = nullptr, *c = nullptr;
    CHILD_CHECK(cuda("cuGraphCreate", &graph, 0u) == 0 && cuda("cuGraphCreate", &child, 0u) == 0);
    const CudaKernelNode slow = Kernel(20'000'000);
    CHILD_CHECK(cuda("cuGraphAddKernelNode_v2", &a, graph, kNull, size_t{0}, &slow) == 0);
    CHILD_CHECK(cuda("cuGraphAddKernelNode", &b, graph, &a, size_t{1}, &slow) == 0);
    CHILD_CHECK(cuda("cuGraphAddKernelNode_v2", &c, child, kNull, size_t{0}, &slow) == 0);
    CHILD_CHECK(cuda("cuGraphAddChildGraphNode", &c, graph, &b, size_t{1}, child) == 0);
    CHILD_CHECK(cuda("cuGraphDestroy", child) == 0);  // the node has a copy
    void *exec = nullptr, *stream = nullptr, *start = nullptr, *end = nullptr;
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
    CHILD_CHECK(cuda("cuEventCreate", &start, 0u) == 0 && cuda("cuEventCreate", &end, 0u) == 0);
    CHILD_CHECK(Launch(cuda, 300'000'000, stream) == 0);
    CHILD_CHECK(cuda("cuEventRecord", start, stream) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, stream) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch_ptsz", exec, stream) == 0);
    CHILD_CHECK(cuda("cuEventRecord", end, stream) == 0);
    CHILD_CHECK(cuda("cuStreamSynchronize", stream) == 0);
    float ms = 0;
    CHILD_CHECK(cuda("cuEventElapsedTime", &ms, start, end) == 0 && ms > 119.9f && ms < 120.1f);
    CHILD_CHECK(cuda("cuGraphNodeSetEnabled", exec, a, 0u) == 0);
    const CudaKernelNode fast = Kernel(1'000'000);
    CHILD_CHECK(cuda("cuGraphExecKernelNodeSetParams_v2", exec, b, &fast) == 0);
    CHILD_CHECK(Launch(cuda, 300'000'000, stream) == 0);
    CHILD_CHECK(cuda("cuEventRecord", start, stream) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, stream) == 0);
    CHILD_CHECK(cuda("cuEventRecord", end, stream) == 0);
    CHILD_CHECK(cuda("cuEventSynchronize", end) == 0);
    CHILD_CHECK(cuda("cuEventElapsedTime", &ms, start, end) == 0 && ms > 20.9f && ms < 21.1f);
    CHILD_CHECK(cuda("cuGraphExecDestroy", exec) == 0 && cuda("cuGraphDestroy", graph) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, stream) == kCudaInvalidValue);
    return 0;
  });
}

TEST_F(GraphTest, ACycleIsNotInstantiated) {
  InChild([] {
    Cuda cuda;
    void *graph = nullptr, *a = nullptr, *b = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuGraphCreate", &graph, 0u) == 0);
    CHILD_CHECK(cuda("cuGraphAddEmptyNode", &a, graph, kNull, size_t{0}) == 0);
    CHILD_CHECK(cuda("cuGraphAddEmptyNode", &b, graph, &a, size_t{1}) == 0);
    size_t edges = 0;
    CHILD_CHECK(cuda("cuGraphGetEdges", graph, kNull, kNull, &edges) == 0 && edges == 1);
    CHILD_CHECK(cuda("cuGraphAddDependencies", graph, &b, &a, size_t{1}) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiate_v2", &exec, graph, kNull, kNull, size_t{0}) ==
                kCudaInvalidValue);
    CHILD_CHECK(cuda("cuGraphRemoveDependencies", graph, &b, &a, size_t{1}) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiate_v2", &exec, graph, kNull, kNull, size_t{0}) == 0);
    return 0;
  });
}

TEST_F(GraphTest, MemoryIsReservedAtTheFirstLaunchAndKeptUntilTrimmed) {
  InChild([] {
    Cuda cuda;
    void *graph = nullptr, *alloc = nullptr, *second = nullptr, *node = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuGraphCreate", &graph, 0u) == 0);
    CudaAllocNode params = Allocation(100 * kMiB);
    CHILD_CHECK(cuda("cuGraphAddMemAllocNode", &alloc, graph, kNull, size_t{0}, &params) == 0);
    CHILD_CHECK(params.address != 0);
    CHILD_CHECK(cuda("cuGraphAddMemFreeNode", &node, graph, &alloc, size_t{1}, params.address) ==
                0);
    CudaAllocNode more = Allocation(60 * kMiB);  // after the first one's end: the same pages
    CHILD_CHECK(cuda("cuGraphAddMemAllocNode", &second, graph, &node, size_t{1}, &more) == 0);
    CHILD_CHECK(cuda("cuGraphAddMemFreeNode", &node, graph, &second, size_t{1}, more.address) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB && Memory(cuda, kReserved) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 800 * kMiB && Memory(cuda, kReserved) == 100 * kMiB);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == 0);  // nothing is left allocated
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0);
    CHILD_CHECK(cuda.FreeBytes() == 800 * kMiB);
    CHILD_CHECK(cuda("cuDeviceGraphMemTrim", 0) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB && Memory(cuda, kUsed) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == 0 && cuda.FreeBytes() == 800 * kMiB);
    CHILD_CHECK(cuda("cuGraphExecDestroy", exec) == 0 && cuda("cuGraphDestroy", graph) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 800 * kMiB);  // reserved until trimmed
    CHILD_CHECK(cuda("cuDeviceGraphMemTrim", 0) == 0 && cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(GraphTest, WhatAGraphDoesNotFreeOutlivesIt) {
  InChild([] {
    Cuda cuda;
    void *graph = nullptr, *node = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuGraphCreate", &graph, 0u) == 0);
    CudaAllocNode params = Allocation(10 * kMiB);
    CHILD_CHECK(cuda("cuGraphAddMemAllocNode", &node, graph, kNull, size_t{0}, &params) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda.Free(params.address) == kCudaInvalidValue);  // not launched yet
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == kCudaInvalidValue);  // still allocated
    CHILD_CHECK(cuda.Free(params.address) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == 0);
    CHILD_CHECK(cuda("cuGraphExecDestroy", exec) == 0 && cuda("cuGraphDestroy", graph) == 0);
    CHILD_CHECK(cuda("cuDeviceGraphMemTrim", 0) == 0);
    CHILD_CHECK(cuda.FreeBytes() == 890 * kMiB && Memory(cuda, kUsed) == 10 * kMiB);
    CHILD_CHECK(cuda("cuMemFreeAsync", params.address, kNull) == 0);
    CHILD_CHECK(cuda.Free(params.address) == kCudaInvalidValue);
    CHILD_CHECK(cuda("cuDeviceGraphMemTrim", 0) == 0 && cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
}

TEST_F(GraphTest, AGraphThatDoesNotFitIsRefusedAtItsLaunch) {
  InChild([] {
    Cuda cuda;
    void *graph = nullptr, *node = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuGraphCreate", &graph, 0u) == 0);
    CudaAllocNode params = Allocation(901 * kMiB);
    CHILD_CHECK(cuda("cuGraphAddMemAllocNode", &node, graph, kNull, size_t{0}, &params) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, kNull) == kCudaOutOfMemory);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    return 0;
  });
  EXPECT_LE(Books().Peak(0), 1000 * kMiB);
}

TEST_F(GraphTest, ACaptureRecordsAndDoesNotRun) {
  InChild([] {
    Cuda cuda;
    void *stream = nullptr, *graph = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, kGlobal) == 0);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, kGlobal) == kCudaIllegalState);
    int status = 0;
    CHILD_CHECK(cuda("cuStreamIsCapturing", stream, &status) == 0 && status == 1);
    CHILD_CHECK(Launch(cuda, 3'600'000'000'000, stream) == 0);  // an hour: must not run here
    uint64_t pointer = 0;
    CHILD_CHECK(cuda("cuMemAllocAsync", &pointer, size_t{50 * kMiB}, stream) == 0 && pointer != 0);
    CHILD_CHECK(
        cuda("cuMemsetD8Async", pointer, static_cast<unsigned char>(1), size_t{10}, stream) == 0);
    CHILD_CHECK(cuda("cuMemFreeAsync", pointer, stream) == 0);
    uint64_t id = 0;
    void** dependencies = nullptr;
    size_t count = 0;
    CHILD_CHECK(cuda("cuStreamGetCaptureInfo_v2", stream, &status, &id, &graph, &dependencies,
                     &count) == 0);
    CHILD_CHECK(status == 1 && id != 0 && count == 1);
    CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == 0);
    CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == kCudaIllegalState);
    CHILD_CHECK(cuda.FreeBytes() == 900 * kMiB);
    void* nodes[8] = {};
    count = 8;
    CHILD_CHECK(cuda("cuGraphGetNodes", graph, nodes, &count) == 0 && count == 4);
    int types[4] = {};
    for (int i = 0; i < 4; ++i) CHILD_CHECK(cuda("cuGraphNodeGetType", nodes[i], &types[i]) == 0);
    CHILD_CHECK(types[0] == 0 && types[1] == 10 && types[2] == 2 && types[3] == 11);
    const CudaKernelNode fast = Kernel(5000);
    CHILD_CHECK(cuda("cuGraphKernelNodeSetParams_v2", nodes[0], &fast) == 0);
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, stream) == 0 && cuda.FreeBytes() == 850 * kMiB);
    CHILD_CHECK(cuda("cuStreamSynchronize", stream) == 0);
    return 0;
  });
}

// The call fails with the code and the capture is lost, as in the real driver.
int Breaks(const Cuda& cuda, int mode, const std::function<int(void*)>& call, int code) {
  void *stream = nullptr, *graph = nullptr;
  CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
  CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, mode) == 0);
  CHILD_CHECK(Launch(cuda, 5000, stream) == 0);
  CHILD_CHECK(call(stream) == code);
  int status = 0;
  CHILD_CHECK(cuda("cuStreamIsCapturing", stream, &status) == 0 && status == 2);
  CHILD_CHECK(Launch(cuda, 5000, stream) == kCudaCaptureInvalidated);
  CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == kCudaCaptureInvalidated);
  CHILD_CHECK(graph == nullptr);
  CHILD_CHECK(cuda("cuStreamSynchronize", stream) == 0);  // the stream is itself again
  return 0;
}

TEST_F(GraphTest, SyncsAndQueriesOfACapturingStreamBreakTheCapture) {
  InChild([] {
    Cuda cuda;
    for (int mode : {kGlobal, kThreadLocal, kRelaxed}) {
      CHILD_CHECK(Breaks(
                      cuda, mode, [&](void* s) { return cuda("cuStreamSynchronize", s); },
                      kCudaCaptureUnsupported) == 0);
      CHILD_CHECK(Breaks(
                      cuda, mode, [&](void* s) { return cuda("cuStreamQuery", s); },
                      kCudaCaptureUnsupported) == 0);
      CHILD_CHECK(Breaks(
                      cuda, mode, [&](void*) { return cuda("cuCtxSynchronize"); },
                      kCudaCaptureUnsupported) == 0);
      void* event = nullptr;
      CHILD_CHECK(cuda("cuEventCreate", &event, 0u) == 0);
      CHILD_CHECK(Breaks(
                      cuda, mode,
                      [&](void* s) {
                        return cuda("cuEventRecord", event, s) == 0 ? cuda("cuEventQuery", event)
                                                                    : -1;
                      },
                      kCudaCapturedEvent) == 0);
    }
    return 0;
  });
}

TEST_F(GraphTest, UnsafeCallsBreakACaptureUnlessTheThreadIsRelaxed) {
  InChild([] {
    Cuda cuda;
    uint64_t pointer = 0;
    void* event = nullptr;
    CHILD_CHECK(cuda("cuEventCreate", &event, 0u) == 0);
    CHILD_CHECK(cuda("cuEventRecord", event, kNull) == 0);
    const auto alloc = [&](void*) { return cuda.Alloc(1, &pointer); };
    const auto query = [&](void*) { return cuda("cuEventQuery", event); };
    const auto elsewhere = [&](void*) {
      int code = -1;
      std::thread other([&] {
        cuda("cuCtxSetCurrent", cuda.context);
        code = cuda("cuEventQuery", event);
      });
      other.join();
      return code;
    };
    CHILD_CHECK(Breaks(cuda, kGlobal, alloc, kCudaCaptureUnsupported) == 0);
    CHILD_CHECK(Breaks(cuda, kThreadLocal, query, kCudaCaptureUnsupported) == 0);
    CHILD_CHECK(Breaks(cuda, kGlobal, elsewhere, kCudaCaptureUnsupported) == 0);
    void *stream = nullptr, *graph = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, kThreadLocal) == 0);
    CHILD_CHECK(elsewhere(nullptr) == 0);  // another thread's affair
    int mode = kRelaxed;
    CHILD_CHECK(cuda("cuThreadExchangeStreamCaptureMode", &mode) == 0 && mode == kGlobal);
    CHILD_CHECK(alloc(nullptr) == 0 && query(nullptr) == 0);
    CHILD_CHECK(cuda("cuThreadExchangeStreamCaptureMode", &mode) == 0 && mode == kRelaxed);
    CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == 0);
    return 0;
  });
}

TEST_F(GraphTest, TheLegacyStreamIsClosedWhileABlockingStreamCaptures) {
  InChild([] {
    Cuda cuda;
    void *stream = nullptr, *graph = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 0u) == 0);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, kRelaxed) == 0);
    int status = 0;
    CHILD_CHECK(cuda("cuStreamIsCapturing", kNull, &status) == kCudaCaptureImplicit);
    CHILD_CHECK(Launch(cuda, 5000, nullptr) == kCudaCaptureImplicit);
    CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == kCudaCaptureInvalidated);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", kNull, kRelaxed) == kCudaCaptureUnsupported);
    return 0;
  });
}

TEST_F(GraphTest, EventsCarryACaptureToOtherStreamsAndBack) {
  InChild([] {
    Cuda cuda;
    void *a = nullptr, *b = nullptr, *fork = nullptr, *join = nullptr, *graph = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &a, 1u) == 0 && cuda("cuStreamCreate", &b, 1u) == 0);
    CHILD_CHECK(cuda("cuEventCreate", &fork, 0u) == 0 && cuda("cuEventCreate", &join, 0u) == 0);
    for (bool joins : {true, false}) {
      CHILD_CHECK(cuda("cuStreamBeginCapture_v2", a, kRelaxed) == 0);
      CHILD_CHECK(Launch(cuda, 5000, a) == 0);
      CHILD_CHECK(cuda("cuEventRecord", fork, a) == 0);
      CHILD_CHECK(cuda("cuStreamWaitEvent", b, fork, 0u) == 0);
      CHILD_CHECK(Launch(cuda, 5000, b) == 0);
      CHILD_CHECK(cuda("cuStreamEndCapture", b, &graph) == kCudaCaptureUnmatched);
      CHILD_CHECK(cuda("cuStreamEndCapture", a, &graph) == kCudaCaptureInvalidated);
      CHILD_CHECK(cuda("cuStreamBeginCapture_v2", a, kRelaxed) == 0);
      CHILD_CHECK(Launch(cuda, 5000, a) == 0);
      CHILD_CHECK(cuda("cuEventRecord", fork, a) == 0);
      CHILD_CHECK(cuda("cuStreamWaitEvent", b, fork, 0u) == 0);
      CHILD_CHECK(Launch(cuda, 5000, b) == 0);
      CHILD_CHECK(cuda("cuEventRecord", join, b) == 0);
      if (joins) CHILD_CHECK(cuda("cuStreamWaitEvent", a, join, 0u) == 0);
      CHILD_CHECK(cuda("cuStreamEndCapture", a, &graph) == (joins ? 0 : kCudaCaptureUnjoined));
      int status = 1;
      CHILD_CHECK(cuda("cuStreamIsCapturing", b, &status) == 0 && status == 0);
    }
    CHILD_CHECK(cuda("cuEventRecord", join, b) == 0);  // outside every capture
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", a, kRelaxed) == 0);
    CHILD_CHECK(cuda("cuStreamWaitEvent", a, join, 0u) == kCudaCaptureIsolation);
    CHILD_CHECK(cuda("cuStreamEndCapture", a, &graph) == kCudaCaptureInvalidated);
    return 0;
  });
}

TEST_F(GraphTest, HostFunctionsRunBehindTheWorkBeforeThem) {
  InChild([] {
    Cuda cuda;
    static std::atomic<int> calls{0};
    const auto count = [](void*) { ++calls; };
    void (*function)(void*) = count;
    void *stream = nullptr, *graph = nullptr, *exec = nullptr;
    CHILD_CHECK(cuda("cuStreamCreate", &stream, 1u) == 0);
    CHILD_CHECK(Launch(cuda, 30'000'000, stream) == 0);
    CHILD_CHECK(cuda("cuLaunchHostFunc", stream, function, kNull) == 0);
    CHILD_CHECK(cuda("cuStreamQuery", stream) == kCudaNotReady && calls == 0);
    CHILD_CHECK(cuda("cuStreamSynchronize", stream) == 0 && calls == 1);
    CHILD_CHECK(cuda("cuStreamBeginCapture_v2", stream, kRelaxed) == 0);
    CHILD_CHECK(cuda("cuLaunchHostFunc", stream, function, kNull) == 0);
    CHILD_CHECK(cuda("cuStreamEndCapture", stream, &graph) == 0 && calls == 1);
    CHILD_CHECK(cuda("cuGraphInstantiateWithFlags", &exec, graph, uint64_t{0}) == 0);
    CHILD_CHECK(cuda("cuGraphLaunch", exec, stream) == 0);
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0 && calls == 2);
    return 0;
  });
}

}  // namespace
}  // namespace hami::sim
