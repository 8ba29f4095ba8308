// Spec D2.2 and D2.3: names are resolved as without the library, but for the hook in its place.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class ResolveTest : public ::testing::Test {
 protected:
  Container container_;
  std::unique_ptr<Probe> probe_ = container_.Start();
  std::unique_ptr<Probe> bare_ = container_.StartBare();
  void Same(const std::string& command) {
    EXPECT_EQ(probe_->Ask(command), bare_->Ask(command)) << command;
  }
};

// TRAP B1: the reference returns NULL for the second look-up of a thread.
TEST_F(ResolveTest, TrapRtldNext_TheSecondLookUpIsLikeTheFirst) {
  EXPECT_EQ(probe_->Ask("find next malloc"), "libc.so.6");
  EXPECT_EQ(probe_->Ask("find next malloc"), "libc.so.6");
  EXPECT_EQ(probe_->Ask("find next malloc"), bare_->Ask("find next malloc"));
}

TEST_F(ResolveTest, ForeignNamesAreNoneOfOurBusiness) {
  for (const char* name :
       {"malloc", "custom", "curl_easy_init", "cu", "c", "nvm", "nv", "n", "curses"}) {
    Same(std::string("find default ") + name);
    Same(std::string("find main ") + name);
    Same(std::string("find next ") + name);
  }
  EXPECT_EQ(probe_->Errors(), "");
}

TEST_F(ResolveTest, MissingNamesOfTheDriverStayMissingWithTheSameError) {
  Same("find libnvidia-ml.so.1 nvmlFoo");
  Same("find libcuda.so.1 cuFoo");
  Same("find libc.so.6 cuInit");
}

TEST_F(ResolveTest, TheDriversFunctionsAreHooked) {
  EXPECT_EQ(probe_->Ask("find libcuda.so.1 cuMemAlloc_v2"), "libvgpu.so");
  EXPECT_EQ(probe_->Ask("find libcuda.so.1 cuInit"), "libvgpu.so");
  EXPECT_EQ(probe_->Ask("find libnvidia-ml.so.1 nvmlDeviceGetMemoryInfo"), "libvgpu.so");
  EXPECT_EQ(probe_->Ask("find libcuda.so.1 cuMemAlloc_v2 NOSUCHVERSION"),
            bare_->Ask("find libcuda.so.1 cuMemAlloc_v2 NOSUCHVERSION"));
  Same("find libcuda.so.1 cuDeviceGetName");  // not hooked: the driver's own
}

// A program that looks whether a driver is loaded must not find ours.
TEST_F(ResolveTest, NothingIsFoundWhereNothingIsLoaded) {
  EXPECT_EQ(probe_->Ask("find default cuInit").substr(0, 4), "none");
  EXPECT_EQ(probe_->Ask("find main cuMemAlloc_v2").substr(0, 4), "none");
  EXPECT_EQ(bare_->Ask("find default cuInit").substr(0, 4), "none");
}

// TRAPs of B1: the reference ignores version and flags, invents functions, leaves the status out.
TEST_F(ResolveTest, CuGetProcAddressGivesTheDriversVariantAndItsHook) {
  std::set<std::string> symbols = {"cuNoSuchFunction", "cuMemAlloc_v2", "cuMemFreeAsync_ptsz"};
#define SIM_VARIANT(base, version, exported, per_thread) symbols.insert(#base);
#include "sim/cuda/variants.inc"
#undef SIM_VARIANT
  for (const std::string& symbol : symbols) {
    for (const int version :
         {2000, 3000, 3020, 7000, 10000, 11000, 11030, 11040, 11080, 12000, 12020, 12080, 13000}) {
      for (const int flags : {0, 1, 2}) {
        const std::string command =
            "lookup " + symbol + " " + std::to_string(version) + " " + std::to_string(flags);
        const std::string expected = bare_->Ask(command);
        std::string actual = probe_->Ask(command);
        // Result, status and the variant's name are the driver's; only the object may be ours.
        const size_t object = actual.find("libvgpu.so");
        if (object != std::string::npos) actual.replace(object, 10, "libcuda.so.1");
        EXPECT_EQ(actual, expected) << command;
      }
    }
  }
}

// A driver that is newer than the library: what it cannot limit it says once, and shows.
TEST(FutureDriverTest, AFurtherFormOfAHookedFunctionIsPassedOnAndSeen) {
  Container container;
  auto probe =
      container.Start({{"LD_LIBRARY_PATH", Built("tests/future")}, {"LIBCUDA_LOG_LEVEL", "2"}});
  EXPECT_EQ(probe->Ask("lookup cuMemAlloc 12000 0"), "0 0 libvgpu.so cuMemAlloc_v2");
  EXPECT_EQ(probe->Ask("lookup cuDeviceGetName 14000 0"), "0 0 libcuda.so.1 cuDeviceGetName");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuInit"), "libvgpu.so");
  EXPECT_EQ(probe->Errors().find("[HAMI-core Warn"), std::string::npos) << probe->Errors();
  EXPECT_EQ(probe->Ask("lookup cuMemAlloc 14000 0"), "0 0 libcuda.so.1 cuMemAlloc_v3");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuMemAlloc_v3"), "libcuda.so.1");
  EXPECT_EQ(container.region().ext.header.feature_bits, HAMI_FEATURE_UNKNOWN_ABI);
  const std::string said = probe->Errors();
  const size_t line = said.find("a form of cuMemAlloc that this library does not know");
  EXPECT_NE(line, std::string::npos) << said;
  EXPECT_EQ(said.find("does not know", line + 60), std::string::npos) << said;
}

TEST_F(ResolveTest, LookedUpByVersionTheHookActs) {
  EXPECT_EQ(probe_->Ask("lookup cuMemAlloc 12000 0"), "0 0 libvgpu.so cuMemAlloc_v2");
  EXPECT_EQ(probe_->Ask("lookup cuMemAlloc 3000 0"), "0 0 libvgpu.so cuMemAlloc");
  EXPECT_EQ(probe_->Ask("lookup cuMemFreeAsync 12000 2"), "0 0 libvgpu.so cuMemFreeAsync_ptsz");
  EXPECT_EQ(probe_->Ask("lookup cuCtxCreate 11030 0"), "0 0 libvgpu.so cuCtxCreate_v2");
}

}  // namespace
}  // namespace hami::limiter::testing
