// Spec D2.2: dlsym and dlvsym mean for everybody what they meant before.
#include <gtest/gtest.h>

#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class LinkerTest : public ::testing::Test {
 protected:
  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "1000m"}}};
};

TEST_F(LinkerTest, ErrorTextsAreTheLinkersOwn) {
  auto probe = container_.Start();
  auto bare = container_.StartBare();
  for (const char* command :
       {"find default curl_easy_init", "find default custom", "find main custom_tool",
        "find libc.so.6 curl_easy_init", "find libnvidia-ml.so.1 nvmlFoo",
        "find libcuda.so.1 cuFoo", "find libcuda.so.1 cuFoo NOSUCH_1.0",
        "find default memcpy GLIBC_2.14", "find libm.so.6 cos NOSUCH_1.0", "find next custom",
        "closed libcuda.so.1 cuFoo", "closed libcuda.so.1 cuDeviceGetName"}) {
    EXPECT_EQ(probe->Ask(command), bare->Ask(command)) << command;
  }
  EXPECT_EQ(probe->Ask("closed libcuda.so.1 cuMemAlloc_v2"), "libvgpu.so");
  EXPECT_EQ(probe->Errors(), "");
}

TEST_F(LinkerTest, NobodyIsGivenThisLibraryWhereThereIsNoDriver) {
  auto probe = container_.Start();
  for (const char* name : {"cuInit", "cuMemAlloc_v2", "nvmlInit_v2"}) {
    for (const char* handle : {"default", "main", "next"}) {
      EXPECT_EQ(probe->Ask(std::string("find ") + handle + " " + name).substr(0, 11), "none error:")
          << handle << " " << name;
    }
  }
}

TEST_F(LinkerTest, AThousandThreadsAreToldTheSame) {
  auto probe = container_.Start();
  EXPECT_EQ(probe->Ask("threads 1000"), "0 libvgpu.so");
  EXPECT_EQ(probe->Errors(), "");
}

TEST_F(LinkerTest, ADriverThatComesBackWhileItIsLoadedIsServed) {
  const std::string libraries = Built("tests/recursive") + ":" + SimLibraries();
  auto probe = container_.Start({{"LD_LIBRARY_PATH", libraries}});
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Ask("version"), "0 2");
  EXPECT_EQ(probe->Ask("find libcuda.so.1 cuMemAlloc_v2"), "libvgpu.so");
  EXPECT_EQ(probe->Errors(), "");
}

// Issue 723, 2903 and LLVM's OpenMP: a tool that is preloaded as well and asks for what comes next.
class InterposerTest : public LinkerTest, public ::testing::WithParamInterface<bool> {
 protected:
  Variables Preloads() const {
    const std::string tool = Built("lib/libinterposer.so"), library = Limiter();
    return {{"LD_PRELOAD", GetParam() ? tool + ":" + library : library + ":" + tool}};
  }
  std::unique_ptr<Probe> probe_ = container_.Start(Preloads());
  std::unique_ptr<Probe> bare_ =
      container_.StartBare({{"LD_PRELOAD", Built("lib/libinterposer.so")}});
};

TEST_P(InterposerTest, ForeignNamesAreFoundAsWithoutTheLibrary) {
  for (int round = 0; round < 2; ++round) {  // the reference has no answer the second time
    for (const char* name : {"ompt_start_tool", "malloc", "curl_easy_init", "interposer_next"}) {
      for (const char* how : {"next", "default"}) {
        const std::string command = std::string("ask ") + how + " " + name;
        EXPECT_EQ(probe_->Ask(command), bare_->Ask(command)) << command;
        const std::string own = std::string("find ") + how + " " + name;
        EXPECT_EQ(probe_->Ask(own), bare_->Ask(own)) << own;
      }
    }
  }
  EXPECT_EQ(probe_->Ask("ask next ompt_start_tool").substr(0, 11), "none error:");
}

TEST_P(InterposerTest, WithoutADriverThereIsNothingAfterTheTool) {
  EXPECT_EQ(bare_->Ask("ask next cuMemAlloc_v2").substr(0, 11), "none error:");
  EXPECT_EQ(probe_->Ask("ask next cuMemAlloc_v2").substr(0, 11), "none error:");
  EXPECT_EQ(probe_->Ask("find default cuMemAlloc_v2"), "libinterposer.so");
}

TEST_P(InterposerTest, ADriverOfEverybodyIsFoundBehindTheTool) {
  for (const char* command : {"global libcuda.so.1", "init", "ctx"}) {
    EXPECT_EQ(probe_->Ask(command), bare_->Ask(command)) << command;
  }
  EXPECT_EQ(bare_->Ask("ask next cuMemAlloc_v2"), "libcuda.so.1");
  // First in line, the tool is given the hook; behind the library, what comes behind itself.
  EXPECT_EQ(probe_->Ask("ask next cuMemAlloc_v2"), GetParam() ? "libvgpu.so" : "libcuda.so.1");
  EXPECT_EQ(probe_->Ask("interposed 4096"), "0 1");
  EXPECT_EQ(bare_->Ask("interposed 4096"), "0 1");
  if (GetParam()) {  // as /etc/ld.so.preload places it: behind whatever the environment preloads
    EXPECT_EQ(probe_->Ask("interposed 1000000000"), "2 2");
  }
}

INSTANTIATE_TEST_SUITE_P(Order, InterposerTest, ::testing::Bool(), [](const auto& test) {
  return test.param ? "BeforeTheLibrary" : "BehindTheLibrary";
});

}  // namespace
}  // namespace hami::limiter::testing
