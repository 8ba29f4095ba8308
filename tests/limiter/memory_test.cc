// Spec D2.4 to D2.6: the limit is exact on every path, and everything comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

std::string Text(uint64_t value) { return std::to_string(value); }

class MemoryTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 512 * kMi;
  static constexpr uint64_t kRoom = kLimit - kContext;

  void SetUp() override { probe_->Begin(); }
  void TearDown() override {
    EXPECT_LE(container_.CardPeak(0), kLimit);
    EXPECT_EQ(container_.region().ext.header.saturated, 0u);
    EXPECT_EQ(container_.region().ext.header.unaccounted, 0u);
  }
  std::string A(const std::string& command) { return probe_->Ask(command); }
  uint64_t V(const std::string& command) { return probe_->Value(command); }
  int C(const std::string& command) { return probe_->Code(command); }
  uint64_t Used() { return container_.Used(0); }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}}};
  std::unique_ptr<Probe> probe_ = container_.Start();
};

TEST_F(MemoryTest, RefusedIfAndOnlyIfItWouldExceedTheLimit) {
  EXPECT_EQ(C("alloc " + Text(kRoom + 1)), 2);
  const uint64_t all = V("alloc " + Text(kRoom));
  EXPECT_EQ(C("alloc 1"), 2);
  EXPECT_EQ(C("free " + Text(all)), 0);
  const uint64_t most = V("alloc " + Text(kRoom - 1));
  V("alloc 1");
  EXPECT_EQ(C("alloc 1"), 2);
  EXPECT_EQ(Used(), kLimit);
  EXPECT_EQ(container_.CardUsed(0), kLimit);
  EXPECT_EQ(C("free " + Text(most)), 0);
}

TEST_F(MemoryTest, TheRefusalReadsAsTheReferences) {
  EXPECT_EQ(C("alloc " + Text(kLimit)), 2);
  const std::string said = probe_->Errors();
  EXPECT_EQ(
      said.find("[HAMI-core ERROR (pid:" + Text(static_cast<uint64_t>(probe_->pid())) + " thread="),
      0u)
      << said;
  EXPECT_NE(said.find(")]: Device 0 OOM " + Text(kContext + kLimit) + " / " + Text(kLimit) + "\n"),
            std::string::npos)
      << said;
}

TEST_F(MemoryTest, AProgramThatRetriesForEverDoesNotFillItsLog) {
  for (int i = 0; i < 2000; ++i) EXPECT_EQ(C("alloc " + Text(kLimit)), 2);
  const std::string said = probe_->Errors();
  const auto lines = std::count(said.begin(), said.end(), '\n');
  EXPECT_GE(lines, 32);
  EXPECT_LT(lines, 200);
}

TEST_F(MemoryTest, AnAbsurdSizeIsRefusedWithoutHarm) {
  EXPECT_EQ(C("alloc 18446744073709551615"), 2);
  EXPECT_EQ(C("alloc 9223372036854775808"), 2);
  V("alloc " + Text(kRoom));
}

TEST_F(MemoryTest, ManagedMemoryCounts) {
  EXPECT_EQ(C("managed " + Text(kRoom + 1)), 2);
  const uint64_t pointer = V("managed " + Text(kRoom));
  EXPECT_EQ(C("alloc 1"), 2);
  EXPECT_EQ(C("free " + Text(pointer)), 0);
  EXPECT_EQ(Used(), kContext);
}

// Escape of B3: the reference charges width x height, so rows of one byte get 512 times the limit.
TEST_F(MemoryTest, EscapePitch_RealPitchIsCharged) {
  const uint64_t rows = kRoom / 512;
  EXPECT_EQ(C("pitch 1 " + Text(rows + 1)), 2);
  const uint64_t pointer = V("pitch 1 " + Text(rows));
  EXPECT_EQ(Used(), kLimit);
  EXPECT_EQ(C("free " + Text(pointer)), 0);
  EXPECT_EQ(Used(), kContext);
}

// Escape of B3: create, map, release the handle; the mapping keeps the memory.
TEST_F(MemoryTest, EscapeVmm_ReleaseWhileMappedKeepsTheCharge) {
  std::vector<uint64_t> mapped;
  while (true) {
    const std::string answer = A("create " + Text(64 * kMi));
    if (answer.substr(0, 2) != "0 ") {
      EXPECT_EQ(answer.substr(0, 1), "2");
      break;
    }
    const std::string handle = answer.substr(2);
    mapped.push_back(V("map " + handle + " " + Text(64 * kMi)));
    EXPECT_EQ(C("drop " + handle), 0);
    ASSERT_LE(mapped.size(), 4u);
  }
  EXPECT_EQ(mapped.size(), kRoom / (64 * kMi));
  EXPECT_EQ(Used(), kLimit);
  for (const uint64_t pointer : mapped)
    EXPECT_EQ(C("unmap " + Text(pointer) + " " + Text(64 * kMi)), 0);
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(container_.CardUsed(0), kContext);
}

TEST_F(MemoryTest, AVmmBlockLivesAsLongAsAnyReference) {
  const uint64_t handle = V("create " + Text(64 * kMi));
  const uint64_t pointer = V("map " + Text(handle) + " " + Text(64 * kMi));
  const uint64_t again = V("retain " + Text(pointer));
  EXPECT_EQ(C("drop " + Text(handle)), 0);
  EXPECT_EQ(C("unmap " + Text(pointer) + " " + Text(64 * kMi)), 0);
  EXPECT_EQ(Used(), kContext + 64 * kMi);
  EXPECT_EQ(C("drop " + Text(again)), 0);
  EXPECT_EQ(Used(), kContext);
}

// Issues 1764, 1853: the reference reads a device number from a host location.
TEST_F(MemoryTest, HostLocationsAreNotCharged) {
  A("createhost " + Text(64 * kMi));
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(probe_->Errors(), "");
}

TEST_F(MemoryTest, VmmChargesTheCardThatThePropertiesName) {
  const uint64_t handle = V("create " + Text(64 * kMi) + " 1");
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(container_.Used(1), 64 * kMi);
  EXPECT_EQ(C("drop " + Text(handle)), 0);
  EXPECT_EQ(container_.Used(1), 0u);
}

// Escape of B3: cuArray3DCreate is not accounted.
TEST_F(MemoryTest, EscapeArray_ArraysCount) {
  EXPECT_EQ(C("array 1024 1024 65"), 2);  // 4 bytes an element: 260 MiB
  const uint64_t array = V("array 1024 1024 32");
  EXPECT_EQ(Used(), kContext + 128 * kMi);
  EXPECT_EQ(C("array 1024 1024 33"), 2);
  EXPECT_EQ(Used(), container_.CardUsed(0));
  EXPECT_EQ(C("endarray " + Text(array)), 0);
  EXPECT_EQ(Used(), kContext);
}

// Escape of B3: pool allocations are not accounted; async ones are refused with -1.
TEST_F(MemoryTest, EscapePool_EveryStreamOrderedPathIsLimited) {
  EXPECT_EQ(C("async " + Text(kRoom + 1)), 2);
  EXPECT_EQ(C("asyncptsz " + Text(kRoom + 1)), 2);
  const uint64_t pool = V("pool");
  EXPECT_EQ(C("frompool " + Text(pool) + " " + Text(kRoom + 1)), 2);
  const uint64_t a = V("async " + Text(64 * kMi));
  const uint64_t b = V("frompool " + Text(pool) + " " + Text(kRoom - 64 * kMi));
  EXPECT_EQ(Used(), kLimit);
  EXPECT_EQ(C("alloc 1"), 2);
  EXPECT_EQ(C("async 1"), 2);
  EXPECT_EQ(C("freeasync " + Text(a)), 0);
  EXPECT_EQ(C("freeasync " + Text(b)), 0);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(Used(), container_.CardUsed(0));
  V("alloc " + Text(kRoom));  // freed pool memory makes room
  EXPECT_EQ(C("endpool " + Text(pool)), 0);
}

// Spec D2.6: any of the two frees takes any of the two pointers.
TEST_F(MemoryTest, CrossFreesReturnTheDriversCodesAndKeepTheBooks) {
  const uint64_t pool = V("pool");
  const uint64_t plain = V("alloc " + Text(32 * kMi));
  const uint64_t async = V("async " + Text(32 * kMi));
  const uint64_t pooled = V("frompool " + Text(pool) + " " + Text(32 * kMi));
  EXPECT_EQ(C("freeasync " + Text(plain)), 0);
  EXPECT_EQ(C("free " + Text(async)), 0);
  EXPECT_EQ(C("free " + Text(pooled)), 0);
  EXPECT_EQ(C("sync"), 0);
  V("alloc " + Text(kRoom));
  Container elsewhere;
  auto bare = elsewhere.StartBare();
  bare->Begin();
  const uint64_t twice = bare->Value("alloc 100");
  bare->Code("free " + Text(twice));
  EXPECT_EQ(C("free " + Text(plain)), bare->Code("free " + Text(twice)));
  EXPECT_EQ(C("free 12345"), bare->Code("free 12345"));
  EXPECT_EQ(C("free 0"), bare->Code("free 0"));
  EXPECT_EQ(Used(), kLimit);
}

TEST_F(MemoryTest, AContextTakesItsMemoryWithIt) {
  V("alloc " + Text(100 * kMi));
  V("pitch 512 1000");
  EXPECT_EQ(C("release 0"), 0);
  EXPECT_EQ(Used(), 0u);
  EXPECT_EQ(container_.CardUsed(0), 0u);
  EXPECT_EQ(C("ctx"), 0);
  EXPECT_EQ(Used(), kContext);
}

TEST_F(MemoryTest, PrimaryContextsAreCountedOnceHoweverOftenRetained) {
  EXPECT_EQ(C("ctx"), 0);
  EXPECT_EQ(C("ctx"), 0);
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(C("release 0"), 0);  // TRAP B3: every release un-charges in the reference
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(C("reset 0"), 0);
  EXPECT_EQ(Used(), container_.CardUsed(0));
}

TEST_F(MemoryTest, AContextThatDoesNotFitIsRefused) {
  const uint64_t second = V("newctx 0");
  EXPECT_EQ(Used(), 2 * kContext);
  EXPECT_EQ(C("newctx 0"), 2);
  EXPECT_EQ(C("endctx " + Text(second)), 0);
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(container_.CardUsed(0), kContext);
}

TEST(FirstContextTest, ItIsRefusedWhenItCannotFitAndNothingIsLeftBehind) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "200m"}});
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Code("ctx"), 2);
  EXPECT_EQ(container.Used(0), 0u);
  EXPECT_EQ(container.CardUsed(0), 0u);
  EXPECT_EQ(probe->Code("ctx"), 2);
}

TEST(FirstContextTest, ItsSizeIsLearnedForTheContainer) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}});
  auto first = container.Start();
  first->Begin();
  EXPECT_EQ(container.region().ext.header.devices[0].context_size, kContext);
  auto second = container.Start();
  second->Begin();
  EXPECT_EQ(container.Used(0), 2 * kContext);
  auto third = container.Start();
  EXPECT_EQ(third->Code("init"), 0);
  EXPECT_EQ(third->Code("ctx"), 2);
  EXPECT_EQ(container.CardPeak(0), 2 * kContext);
}

}  // namespace
}  // namespace hami::limiter::testing
