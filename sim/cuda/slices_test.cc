// Time on a card: two ways to share it, and the reader that judges how it was shared.
#include <memory>

#include "sim/core/timeline.h"
#include "sim/cuda/cuda_abi.h"
#include "sim/test_support.h"

namespace hami::sim {
namespace {

constexpr int64_t kMs = 1'000'000;
void* const kNull = nullptr;

class SlicesTest : public MachineTest {
 protected:
  uint64_t BusyOf(pid_t pid, int64_t from, int64_t to) {
    const StateFile& file = *Books().file();
    for (int slot = 0; slot < file.slots_high.load(); ++slot) {
      if (file.slots[slot].used.load() != 0 && file.slots[slot].pid == pid) {
        return BusyBetween(file.rings[slot][0], from, to);
      }
    }
    return 0;
  }
  Timeline Cards(int64_t slice_ns) { return {Books(), slice_ns}; }
};

int Launch(const Cuda& cuda, int64_t ns, void* stream) {
  return cuda("cuLaunchKernel", reinterpret_cast<void*>(ns), 1u, 1u, 1u, 1u, 1u, 1u, 0u, stream,
              kNull, kNull);
}

// A process that has an hour of work on the card and holds it.
std::unique_ptr<Child> Worker(int64_t kernel_ns, int kernels) {
  auto child = std::make_unique<Child>([=] {
    Cuda cuda;
    Child::AwaitGo();
    for (int i = 0; i < kernels; ++i) CHILD_CHECK(Launch(cuda, kernel_ns, nullptr) == 0);
    Child::SayReady();
    Child::AwaitGo();
    return 0;
  });
  return child;
}

int64_t Bucket(int64_t ns) {
  return ns / static_cast<int64_t>(kBucketNs) * static_cast<int64_t>(kBucketNs);
}

TEST_F(SlicesTest, TwoProcessesGetTheSameTimeHoweverLongTheirKernelsAre) {
  WriteCards("scheduling: time_sliced\ncards: [{model: Tesla T4}]\n");
  const auto a = Worker(3'600'000 * kMs, 1);  // one kernel of an hour
  const auto b = Worker(1 * kMs, 1000);
  for (const auto* worker : {&a, &b}) {
    (*worker)->SayGo();
    ASSERT_TRUE((*worker)->AwaitWord());
  }
  const int64_t from = Bucket(NowMonotonicNs()) + 20 * kMs;
  const int64_t to = from + 400 * kMs;
  SleepUntil(to + 10 * kMs);
  Cards(2 * kMs).Advance(0);
  // By the card's clock, exact to a slice whatever this machine's load.
  EXPECT_NEAR(static_cast<double>(BusyOf(a->pid(), from, to)), 200e6, 4e6);
  EXPECT_NEAR(static_cast<double>(BusyOf(b->pid(), from, to)), 200e6, 4e6);
  EXPECT_EQ(BusyBetween(Books().file()->card_rings[0], from, to), 400'000'000u);
}

TEST_F(SlicesTest, AKilledProcessLeavesTheCardToTheOthers) {
  WriteCards("scheduling: time_sliced\ncards: [{model: Tesla T4}]\n");
  const auto a = Worker(3'600'000 * kMs, 1);
  a->SayGo();
  ASSERT_TRUE(a->AwaitWord());
  a->Kill();
  Child b([] {
    Cuda cuda;
    CHILD_CHECK(Launch(cuda, 50 * kMs, nullptr) == 0);
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0);  // would take an hour behind the dead one
    return 0;
  });
  EXPECT_EQ(b.Wait(), 0);
}

TEST_F(SlicesTest, EventsTellWhenASlicedKernelEnded) {
  WriteCards("scheduling: time_sliced\nslice_us: 1000\ncards: [{model: Tesla T4}]\n");
  const auto other = Worker(3'600'000 * kMs, 1);
  other->SayGo();
  ASSERT_TRUE(other->AwaitWord());
  Child b([] {
    Cuda cuda;
    void *start = nullptr, *end = nullptr;
    CHILD_CHECK(cuda("cuEventCreate", &start, 0u) == 0 && cuda("cuEventCreate", &end, 0u) == 0);
    CHILD_CHECK(Launch(cuda, 100 * kMs, nullptr) == 0);
    CHILD_CHECK(cuda("cuEventRecord", start, kNull) == 0);
    CHILD_CHECK(Launch(cuda, 50 * kMs, nullptr) == 0);
    CHILD_CHECK(cuda("cuEventRecord", end, kNull) == 0);
    CHILD_CHECK(cuda("cuEventQuery", end) == kCudaNotReady);
    CHILD_CHECK(cuda("cuEventSynchronize", end) == 0);
    float ms = 0;
    CHILD_CHECK(cuda("cuEventElapsedTime", &ms, start, end) == 0);
    CHILD_CHECK(ms > 97.5f && ms < 102.5f);  // half of the card's time
    return 0;
  });
  EXPECT_EQ(b.Wait(), 0);
}

TEST_F(SlicesTest, FirstComeFirstServedLetsALongKernelHoldTheCard) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  const auto a = Worker(400 * kMs, 1);
  const auto b = Worker(400 * kMs, 1);
  a->SayGo();
  ASSERT_TRUE(a->AwaitWord());
  const int64_t from = Bucket(NowMonotonicNs()) + 10 * kMs;
  b->SayGo();
  ASSERT_TRUE(b->AwaitWord());
  SleepUntil(from + 200 * kMs);
  EXPECT_EQ(BusyOf(a->pid(), from, from + 200 * kMs), 200'000'000u);
  EXPECT_EQ(BusyOf(b->pid(), from, from + 200 * kMs), 0u);
}

TEST_F(SlicesTest, TheEnvironmentChoosesTheScheduling) {
  WriteCards("cards: [{model: Tesla T4}]\n");
  setenv("FAKEGPU_SCHEDULING", "time_sliced", 1);
  const auto a = Worker(3'600'000 * kMs, 1);
  a->SayGo();
  ASSERT_TRUE(a->AwaitWord());
  Child b([] {
    Cuda cuda;
    CHILD_CHECK(Launch(cuda, 5 * kMs, nullptr) == 0);
    CHILD_CHECK(cuda("cuCtxSynchronize") == 0);
    return 0;
  });
  EXPECT_EQ(b.Wait(), 0);
  unsetenv("FAKEGPU_SCHEDULING");
}

}  // namespace
}  // namespace hami::sim
