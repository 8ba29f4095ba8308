// Spec D2.2 and D2.3: names are resolved as without the library, but for the hook in its place.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

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

// The reference starts up for any name in "cu": message, region, driver, exit on failure.
TEST_F(ResolveTest, LookingUpForeignNamesStartsNothing) {
  for (const char* name : {"curl_easy_init", "custom", "cuFoo", "nvmlFoo", "nvmlInit_v2"}) {
    EXPECT_EQ(probe_->Ask(std::string("find default ") + name).substr(0, 4), "none") << name;
    EXPECT_EQ(probe_->Ask(std::string("find libc.so.6 ") + name).substr(0, 4), "none") << name;
  }
  EXPECT_FALSE(std::filesystem::exists(container_.region_path()));
}

// A program's own library may export such a name, and is asked for it by its handle.
TEST_F(ResolveTest, TheHandleDecidesWhoseFunctionItIs) {
  const std::string interposer = Built("lib/libinterposer.so");
  Same("find " + interposer + " cuMemAlloc_v2");
  EXPECT_EQ(probe_->Ask("find " + interposer + " cuMemAlloc_v2"), "libinterposer.so");
  EXPECT_EQ(probe_->Ask("find libcuda.so.1 cuMemAlloc_v2"), "libvgpu.so");
  EXPECT_EQ(probe_->Ask("find " + interposer + " cuMemAlloc_v2"), "libinterposer.so");
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

// The functions that the library shows, by the reviewed list.
std::set<std::string> Hooks() {
  std::ifstream in(LIMITER_EXPORTS);
  std::set<std::string> hooks;
  for (std::string word; in >> word;) {
    if (word.rfind("cu", 0) == 0 && word.back() == ';')
      hooks.insert(word.substr(0, word.size() - 1));
  }
  return hooks;
}

// TRAPs of B1: the reference ignores version and flags, invents functions, leaves the status out.
// Result, status and the variant are the driver's; the object is ours where the variant is hooked,
// and only there.
class LookUpTest : public ResolveTest {
 protected:
  // An answer of the driver's, its hooked functions replaced by ours.
  std::string Hooked(const std::string& answer) {
    std::istringstream in(answer);
    std::string hooked, object;
    for (std::string word; in >> word; object = word) {
      const bool ours = object == "libcuda.so.1" && hooks_.count(word) != 0;
      if (ours)
        hooked.replace(hooked.size() - object.size(), object.size(), "libvgpu.so"), ++hooked_;
      hooked += (hooked.empty() ? "" : " ") + word;
    }
    return hooked;
  }
  void SameButHooked(const std::string& command) {
    EXPECT_EQ(probe_->Ask(command), Hooked(bare_->Ask(command))) << command;
  }
  void EveryName(const std::string& command, const std::vector<int>& versions) {
    std::set<std::string> symbols = {
        "cuNoSuchFunction", "cuMemAlloc_v2", "cuMemFreeAsync_ptsz", "curl_easy_init", "cu", ""};
#define SIM_VARIANT(base, version, exported, per_thread) symbols.insert(#base);
#include "sim/cuda/variants.inc"
#undef SIM_VARIANT
    symbols.erase("");  // the probe's commands have no empty words
    for (const std::string& symbol : symbols) {
      for (const int version : versions) {
        for (const int flags : {0, 1, 2}) {
          SameButHooked(command + " " + symbol + " " + std::to_string(version) + " " +
                        std::to_string(flags));
        }
      }
    }
    EXPECT_GT(hooked_, 100);
  }

  const std::set<std::string> hooks_ = Hooks();
  int hooked_ = 0;
};

TEST_F(LookUpTest, CuGetProcAddressGivesTheDriversVariantAndItsHook) {
  EveryName("lookup", {2000, 3000, 3020, 7000, 10000, 11000, 11030, 11040, 11080, 12000, 12020,
                       12080, 13000});
}

// The runtimes of CUDA 11 have no place for a status: a fifth argument would be garbage.
TEST_F(LookUpTest, TheFormOfFourParametersGivesTheSame) {
  EveryName("lookup1", {10000, 11000, 11040, 11080, 12000, 13000});
}

// cudart looks the look-up itself up first: the form must be that of the asker's version.
TEST_F(LookUpTest, ALookUpThatWasLookedUpGivesTheSame) {
  EveryName("lookupby 11080", {11080});
  EveryName("lookupby 12080", {12080});
  EXPECT_EQ(probe_->Ask("lookupby 11080 cuMemAlloc 11080 0"),
            "libvgpu.so cuGetProcAddress 0 -7 libvgpu.so cuMemAlloc_v2");
  EXPECT_EQ(probe_->Ask("lookupby 12080 cuMemAlloc 11080 0"),
            "libvgpu.so cuGetProcAddress_v2 0 0 libvgpu.so cuMemAlloc_v2");
}

// Issue 1055 (NCCL's "some PFN functions not found") and its crashes: hooks of functions that the
// driver does not have.
class OldDriverTest : public LookUpTest, public ::testing::WithParamInterface<const char*> {
 protected:
  OldDriverTest() {
    const Variables old = {{"LD_LIBRARY_PATH", SimLibraries() + "/" + GetParam()}};
    probe_ = container_.Start(old);
    bare_ = container_.StartBare(old);
  }
};

TEST_P(OldDriverTest, HasNothingButItsOwnFunctions) {
  int missing = 0;
  for (const std::string& name : hooks_) {
    const std::string found = bare_->Ask("find libcuda.so.1 " + name);
    if (found.rfind("none", 0) == 0) ++missing;
    const std::string expected = found == "libcuda.so.1" ? "libvgpu.so" : found;
    EXPECT_EQ(probe_->Ask("find libcuda.so.1 " + name), expected) << name;
  }
  EXPECT_GT(missing, 10);
  SameButHooked("lookup cuGreenCtxCreate 12080 0");
  SameButHooked("lookup cuMemAlloc 12080 0");
  SameButHooked("lookup1 cuMemAllocAsync 12080 2");
}
INSTANTIATE_TEST_SUITE_P(Of, OldDriverTest, ::testing::Values("cuda-10.2", "cuda-11.4"),
                         [](const auto& test) {
                           return std::string(test.param) == "cuda-10.2" ? "Cuda102" : "Cuda114";
                         });

// A driver that is newer than the library: what it cannot limit it says once, and shows.
TEST(FutureDriverTest, AFurtherFormOfAHookedFunctionIsPassedOnAndSeen) {
  Container container;
  auto probe =
      container.Start({{"LD_LIBRARY_PATH", Built("tests/future")}, {"LIBCUDA_LOG_LEVEL", "2"}});
  EXPECT_EQ(probe->Ask("lookup cuMemAlloc 12000 0"), "0 0 libvgpu.so cuMemAlloc_v2");
  EXPECT_EQ(probe->Ask("lookup cuDeviceGetName 14000 0"), "0 0 libcuda.so.1 cuDeviceGetName");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuInit"), "libvgpu.so");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuInit FUTURE_14"), "libvgpu.so");  // by dlvsym
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuDeviceGetName FUTURE_14"), "libcuda.so.1");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuInit FUTURE_15").substr(0, 11), "none error:");
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
