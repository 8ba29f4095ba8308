// The gate of spec C9: what the library needs of the system and what it shows.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <set>
#include <sstream>
#include <string>

#include "limiter/hook/cuda_api.h"
#include "limiter/nvml/nvml_api.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

using Lines = std::set<std::string>;

// The distinct lines that a command line prints.
Lines LinesOf(const std::string& command) {
  std::string output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return {};
  std::array<char, 4096> piece;
  for (size_t count; (count = fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
    output.append(piece.data(), count);
  }
  pclose(pipe);
  Lines lines;
  std::istringstream in(output);
  for (std::string line; std::getline(in, line);) lines.insert(line);
  return lines;
}

TEST(AbiTest, NoVersionOfGlibcBeyond2_17IsNeeded) {
  const Lines versions = LinesOf("readelf --wide -V " + Limiter() +
                                 " | grep -oE '(GLIBC|GLIBCXX|CXXABI|GCC)_[0-9.]+'");
  EXPECT_FALSE(versions.empty());
  for (const std::string& version : versions) {
    int major = 0, minor = 0;
    ASSERT_EQ(sscanf(version.c_str(), "GLIBC_%d.%d", &major, &minor), 2) << version;
    EXPECT_LE(major * 1000 + minor, 2017) << version;
  }
}

TEST(AbiTest, OnlyLibcAndItsFormerPartsAreNeeded) {
  EXPECT_EQ(
      LinesOf("readelf --wide -d " + Limiter() + " | grep NEEDED | grep -oE '[a-z]+[.]so[.0-9]*'"),
      (Lines{"libc.so.6", "libdl.so.2", "libpthread.so.0"}));
}

TEST(AbiTest, NoTextRelocationsAndNoExecutableStack) {
  EXPECT_EQ(LinesOf("readelf --wide -d " + Limiter() + " | grep TEXTREL"), Lines());
  const Lines stack = LinesOf("readelf --wide -l " + Limiter() + " | grep -o 'GNU_STACK.* RW  '");
  EXPECT_EQ(stack.size(), 1u);
}

// aarch64: GCC's helpers for atomic operations need start-up code that -nostdlib leaves out.
TEST(AbiTest, NoAtomicOperationIsOutlined) {
  const std::string symbols =
      "find " + Built("limiter/CMakeFiles/vgpu.dir") + " -name '*.o' -print0 | xargs -0 nm -A";
  EXPECT_GT(LinesOf(symbols + " | grep -o '^[^:]*'").size(), 30u);
  EXPECT_EQ(LinesOf(symbols + " | grep __aarch64_"), Lines());
}

TEST(AbiTest, UndefinedSymbolsAreOnTheAllowList) {
  const Lines allowed = {"__cxa_atexit",
                         "__register_atfork",
                         "dl_iterate_phdr",
                         "dladdr",
                         "dlclose",
                         "dlerror",
                         "dlopen",
                         "getenv",
                         "memchr",
                         "memcmp",
                         "memcpy",
                         "memmove",
                         "memset",
                         "pthread_attr_destroy",
                         "pthread_attr_init",
                         "pthread_attr_setdetachstate",
                         "pthread_attr_setstacksize",
                         "pthread_create",
                         "strcmp",
                         "strlen",
                         "strncmp",
                         "strnlen"};
  const Lines undefined = LinesOf("nm -D --undefined-only --without-symbol-versions " + Limiter() +
                                  " | grep -oE '[^ ]+$'");
  EXPECT_FALSE(undefined.empty());
  for (const std::string& symbol : undefined) EXPECT_TRUE(allowed.count(symbol)) << symbol;
}

TEST(AbiTest, ExportsAreTheReviewedList) {
  const Lines reviewed = LinesOf("sed -nE 's/^    ([a-zA-Z0-9_]+);$/\\1/p' " LIMITER_EXPORTS);
  const Lines exported = LinesOf("nm -D --defined-only --without-symbol-versions " + Limiter() +
                                 " | grep -oE '[^ ]+$'");
  EXPECT_GT(reviewed.size(), 50u);
  EXPECT_EQ(exported, reviewed);
}

// Programs that link to the driver come to a hook by its exported name only.
TEST(AbiTest, EveryHookIsExported) {
#define HAMI_NAME(name, parameters) #name,
  const Lines hooks = {HAMI_CUDA_HOOKS(HAMI_NAME) HAMI_NVML_HOOKS(HAMI_NAME)};
#undef HAMI_NAME
  const Lines exported = LinesOf("nm -D --defined-only --without-symbol-versions " + Limiter() +
                                 " | grep -oE '[^ ]+$'");
  for (const std::string& hook : hooks) EXPECT_TRUE(exported.count(hook)) << hook;
}

TEST(AbiTest, StaticThreadStorageIsAtMost64Bytes) {
  const Lines segment =
      LinesOf("readelf --wide -l " + Limiter() + " | awk '$1 == \"TLS\" {print $6}'");
  ASSERT_EQ(segment.size(), 1u);
  EXPECT_LE(std::stoul(*segment.begin(), nullptr, 0), 64u);
}

}  // namespace
}  // namespace hami::limiter::testing
