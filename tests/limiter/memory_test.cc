// Spec D2.4 to D2.6: the limit is exact on every path, and everything comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/limiter/limited_test.h"

namespace hami::limiter::testing {
namespace {

using MemoryTest = LimitedTest;

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

// Spec D2.6: each free on each pointer, twice, gives what the driver gives, and the books stay
// right.
TEST_F(MemoryTest, CrossFreesReturnTheDriversCodesAndKeepTheBooks) {
  Container elsewhere;
  auto bare = elsewhere.StartBare();
  bare->Begin();
  const std::string pool = " " + Text(V("pool")), bare_pool = " " + Text(bare->Value("pool"));
  const std::string size = " " + Text(2 * kMi);
  const auto mapped = [&size](Probe& probe) {
    const std::string handle = Text(probe.Value("create" + size));
    const uint64_t pointer = probe.Value("map " + handle + size);
    probe.Code("drop " + handle);
    return pointer;
  };
  for (const std::string make : {"alloc", "managed", "async", "asyncptsz", "frompool", "mapped"}) {
    for (const std::string end : {"free", "freeasync", "freeasyncptsz", "unmap"}) {
      const auto pointer_of = [&](Probe& probe, const std::string& in) {
        return Text(make == "mapped"     ? mapped(probe)
                    : make == "frompool" ? probe.Value("frompool" + in + size)
                                         : probe.Value(make + size));
      };
      const std::string ours = pointer_of(*probe_, pool), theirs = pointer_of(*bare, bare_pool);
      for (const std::string& how : {end, end, std::string("free"), std::string("unmap")}) {
        EXPECT_EQ(C(how + " " + ours + size), bare->Code(how + " " + theirs + size))
            << make << ", " << end << ", " << how;
      }
      EXPECT_EQ(C("sync"), bare->Code("sync"));
      EXPECT_EQ(Used(), container_.CardUsed(0)) << make << ", " << end;
    }
  }
  for (const std::string foreign : {"0", "12345", "18446744073709551615"}) {
    for (const std::string how : {"free ", "freeasync ", "freeasyncptsz "}) {
      EXPECT_EQ(C(how + foreign), bare->Code(how + foreign)) << how << foreign;
    }
  }
  EXPECT_EQ(C("trim" + pool + " 0"), 0);
  V("alloc " + Text(kRoom));
  EXPECT_EQ(Used(), kLimit);
}

// More pools than the library has room for at first: none of them may go uncharged.
TEST_F(MemoryTest, EveryOneOfManyPoolsIsCharged) {
  std::vector<std::string> pools;
  for (int i = 0; i < 300; ++i) pools.push_back(Text(V("pool")));
  std::vector<uint64_t> blocks;
  for (size_t i = 0; i < pools.size(); i += 60) {
    blocks.push_back(V("frompool " + pools[i] + " " + Text(32 * kMi)));
    EXPECT_EQ(Used(), container_.CardUsed(0));
  }
  blocks.push_back(V("frompool " + pools.back() + " " + Text(96 * kMi)));
  EXPECT_EQ(Used(), kLimit);
  EXPECT_EQ(C("frompool " + pools[150] + " 1"), 2);
  for (const std::string& pool : pools) EXPECT_EQ(C("endpool " + pool), 0);
  EXPECT_EQ(Used(), kLimit);  // a pool lives as long as its blocks
  for (const uint64_t block : blocks) EXPECT_EQ(C("free " + Text(block)), 0);
  EXPECT_EQ(C("sync"), 0);
  EXPECT_EQ(Used(), container_.CardUsed(0));
}

TEST_F(MemoryTest, APoolIsChargedOnItsOwnCardWhicheverIsCurrent) {
  const std::string other = Text(V("defaultpool 1")), made = Text(V("pool 2"));
  V("frompool " + other + " " + Text(32 * kMi));
  V("frompool " + made + " " + Text(64 * kMi));
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(container_.Used(1), 32 * kMi);
  EXPECT_EQ(container_.Used(2), 64 * kMi);
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

}  // namespace
}  // namespace hami::limiter::testing
