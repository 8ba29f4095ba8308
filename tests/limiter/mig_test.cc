// Spec B10: limits follow the device, however it is named and whatever is initialised first; MIG
// instances stand where their card would.
#include <gtest/gtest.h>

#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

constexpr uint64_t kGi = uint64_t{1} << 30;
// Limits in NVML's order: two instances of card 0, then card 1.
const Variables kVariables = {{"LD_LIBRARY_PATH", Built("tests/mig")},
                              {"CUDA_DEVICE_MEMORY_LIMIT_0", "2g"},
                              {"CUDA_DEVICE_MEMORY_LIMIT_1", "3g"},
                              {"CUDA_DEVICE_MEMORY_LIMIT_2", "4g"}};
constexpr char kFirst[] = "MIG-00000000-0000-0000-0000-0000000000a0";
constexpr char kSecond[] = "MIG-00000000-0000-0000-0000-0000000000a2";
constexpr char kWhole[] = "GPU-00000000-0000-0000-0000-0000000000bb";

TEST(MigTest, InstancesTakeTheirCardsPlaceInTheRegion) {
  Container container(kVariables);
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("nvmlinit"), 0);
  const HamiV1Region& v1 = container.region().v1;
  EXPECT_EQ(v1.device_num, 3u);
  EXPECT_STREQ(v1.uuids[0], kFirst);
  EXPECT_STREQ(v1.uuids[1], kSecond);
  EXPECT_STREQ(v1.uuids[2], kWhole);
}

TEST(MigTest, EachHandleShowsItsOwnSlice) {
  Container container(kVariables);
  auto probe = container.Start();
  EXPECT_EQ(probe->Ask("nvmlmig 0 0"), "0 " + Text(2 * kGi) + " " + Text(2 * kGi) + " 0");
  EXPECT_EQ(probe->Ask("nvmlmig 0 2"), "0 " + Text(3 * kGi) + " " + Text(3 * kGi) + " 0");
  EXPECT_EQ(probe->Ask("nvmlmem 1"), "0 " + Text(4 * kGi) + " " + Text(4 * kGi) + " 0");
  // No limit is about the card as a whole.
  EXPECT_EQ(probe->Ask("nvmlmem 0"), "0 " + Text(40 * kGi) + " " + Text(40 * kGi) + " 0");
}

TEST(MigTest, ProcessesAreListedOnTheirInstance) {
  Container container(kVariables);
  auto probe = container.Start({{"CUDA_VISIBLE_DEVICES", kSecond}});
  probe->Begin();
  const uint64_t used = container.Used(1);
  EXPECT_GT(used, 0u);
  EXPECT_EQ(probe->Ask("migprocs 0 2"), "0 1 " + Text(static_cast<uint64_t>(probe->pid())) + ":" +
                                            Text(used) + " gpu instance 9 compute instance 0");
  EXPECT_EQ(probe->Ask("migprocs 0 0"), "0 0");
}

struct Way {
  const char* name;
  std::string visible;  // empty: unset
  int ordinal;
  unsigned index;  // in the region
};

class MigVisibleTest : public ::testing::TestWithParam<std::tuple<Way, bool>> {};

TEST_P(MigVisibleTest, TheLimitFollowsTheDevice) {
  const auto& [way, nvml_first] = GetParam();
  Container container(kVariables);
  auto probe = container.Start(
      way.visible.empty() ? Variables{} : Variables{{"CUDA_VISIBLE_DEVICES", way.visible}});
  if (nvml_first) {
    EXPECT_EQ(probe->Code("nvmlinit"), 0);
  }
  probe->Begin(way.ordinal);
  const uint64_t limit = (2 + way.index) * kGi;
  EXPECT_EQ(probe->Value("total " + std::to_string(way.ordinal)), limit);
  const uint64_t context = container.Used(way.index);
  EXPECT_EQ(probe->Code("alloc " + Text(limit - context + 1)), 2);
  EXPECT_EQ(probe->Code("alloc " + Text(limit - context)), 0);
  for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(container.Used(i), i == way.index ? limit : 0) << i;
}

INSTANTIATE_TEST_SUITE_P(
    Ways, MigVisibleTest,
    ::testing::Combine(
        ::testing::Values(Way{"AllFirst", "", 0, 0}, Way{"AllSecond", "", 1, 1},
                          Way{"AllWhole", "", 2, 2}, Way{"SubsetByIndex", "1", 0, 1},
                          Way{"ReorderedByIndex", "2,0", 1, 0}, Way{"ByMigUuid", kSecond, 0, 1},
                          Way{"ReorderedByUuid", std::string(kWhole) + "," + kFirst, 1, 0},
                          Way{"ByUuidOfAWholeCard", kWhole, 0, 2},
                          Way{"AWrongEntryEndsTheList", "1,GPU-none,0", 0, 1}),
        ::testing::Bool()),
    [](const auto& test) {
      return std::get<0>(test.param).name +
             std::string(std::get<1>(test.param) ? "NvmlFirst" : "CudaFirst");
    });

}  // namespace
}  // namespace hami::limiter::testing
