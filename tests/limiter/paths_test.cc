// Spec D2.4, D2.5: by every path to device memory, in blocks of every kind, a container gets its
// limit and not a byte more, by the card's own peak, and everything comes back.
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "tests/limiter/limited_test.h"

namespace hami::limiter::testing {
namespace {

constexpr uint64_t kGranule = 2 * kMi;  // of physical memory, and of pools

struct Path {
  const char* function;  // that the path goes by
  uint64_t unit;         // what it takes is a multiple of this
  uint64_t slack = 0;    // how much may be left because pools grow in steps
};
void PrintTo(const Path& path, std::ostream* out) { *out << path.function; }

constexpr Path kPaths[] = {
    {"cuMemAlloc_v2", 1},
    {"cuMemAllocManaged", 1},
    {"cuMemAllocPitch_v2", 512},
    {"cuMemAllocAsync", 1, kGranule},
    {"cuMemAllocAsync_ptsz", 1, kGranule},
    {"cuMemAllocFromPoolAsync", 1, kGranule},
    {"cuMemAllocFromPoolAsync_ptsz", 1, kGranule},
    {"cuArrayCreate", 1},
    {"cuArrayCreate_v2", 1},
    {"cuArray3DCreate", 1},
    {"cuArray3DCreate_v2", 1},
    {"cuMipmappedArrayCreate", 7},
    {"cuMemCreate", kGranule},
    {"cuMemMap", kGranule},
    {"cuMemMapArrayAsync", kGranule},
    {"cuMemMapArrayAsync_ptsz", kGranule},
    {"cuGraphLaunch", kGranule},
    {"cuGraphLaunch_ptsz", kGranule},
    {"cuGraphUpload", kGranule},
    {"cuGraphUpload_ptsz", kGranule},
    {"cuModuleLoadData", 1},
    {"cuLibraryLoadData", 1},
    {"cuLibraryGetKernel", 1},
};

class PathTest : public LimitedTest, public ::testing::WithParamInterface<Path> {
 protected:
  // The answer's code; what was taken is remembered.
  int Take(uint64_t bytes) {
    const std::string answer = A("take " + std::string(GetParam().function) + " " + Text(bytes));
    if (answer.substr(0, 2) == "0 ") held_.push_back(answer.substr(2));
    return std::stoi(answer);
  }
  void GiveAll() {
    for (const std::string& number : held_) EXPECT_EQ(C("give " + number), 0);
    held_.clear();
    EXPECT_EQ(Used(), kContext);
    EXPECT_EQ(container_.CardUsed(0), kContext);
  }
  void ExpectFilledBy(uint64_t block) {
    const auto [function, unit, slack] = GetParam();
    const uint64_t each = block / unit * unit;
    uint64_t granted = 0;
    int code = 0;
    while ((code = Take(each)) == 0) {
      granted += each;
      ASSERT_LE(granted, kRoom);
      ASSERT_EQ(Used(), container_.CardUsed(0));
    }
    EXPECT_EQ(code, 2);
    EXPECT_GT(granted + each + slack, kRoom);
    EXPECT_LE(container_.CardPeak(0), kLimit);
    EXPECT_EQ(Used(), container_.CardUsed(0));
  }

  std::vector<std::string> held_;
};

TEST_P(PathTest, InOneBlock) {
  ExpectFilledBy(kRoom);
  EXPECT_EQ(held_.size(), 1u);
  GiveAll();
}

TEST_P(PathTest, InLargeBlocks) {
  ExpectFilledBy(64 * kMi);
  EXPECT_EQ(held_.size(), 4u);
  GiveAll();
}

TEST_P(PathTest, InOddBlocks) {
  ExpectFilledBy(7 * kMi + 12345);
  EXPECT_GE(held_.size(), 30u);
  GiveAll();
}

TEST_P(PathTest, ABlockTooLargeLeavesNothingBehind) {
  EXPECT_EQ(Take(kRoom + std::max(GetParam().unit, kGranule)), 2);
  EXPECT_EQ(Used(), kContext);
  EXPECT_EQ(container_.CardUsed(0), kContext);
  EXPECT_EQ(container_.CardPeak(0), kContext);
  EXPECT_EQ(Take(kRoom / GetParam().unit * GetParam().unit), 0);
  GiveAll();
}

// Addresses and handles come back while others are about to forget them.
TEST_P(PathTest, InManyThreads) {
  const std::string answer =
      A("takestress 0.3 4 " + std::string(GetParam().function) + " " + Text(84 * kMi));
  EXPECT_GT(std::stoull(answer), 0u) << answer;
  EXPECT_EQ(answer.substr(answer.rfind(' ')), " 0") << answer;
  GiveAll();
}

INSTANTIATE_TEST_SUITE_P(Every, PathTest, ::testing::ValuesIn(kPaths), [](const auto& test) {
  std::string name = test.param.function;
  std::erase(name, '_');
  return name;
});

}  // namespace
}  // namespace hami::limiter::testing
