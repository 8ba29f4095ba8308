// Spec A3: what programs are told about their card.
#include <gtest/gtest.h>

#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

TEST(ViewTest, ThreeThousandMiBAreShownByEveryCall) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  auto probe = container.Start();
  probe->Begin();
  const uint64_t total = 3000 * kMi, free = total - kContext;
  EXPECT_EQ(probe->Ask("info"), "0 " + Text(free) + " " + Text(total));
  EXPECT_EQ(probe->Value("total 0"), total);
  EXPECT_EQ(probe->Ask("nvmlmem 0"), "0 " + Text(total) + " " + Text(free) + " " + Text(kContext));
  EXPECT_EQ(probe->Ask("nvmlmem2 0"),
            "0 " + Text(total) + " " + Text(free) + " " + Text(kContext) + " 0");
  probe->Value("alloc " + Text(1000 * kMi));
  EXPECT_EQ(probe->Ask("info"), "0 " + Text(free - 1000 * kMi) + " " + Text(total));
  EXPECT_EQ(probe->Ask("nvmlmem 0"),
            "0 " + Text(total) + " " + Text(free - 1000 * kMi) + " " + Text(kContext + 1000 * kMi));
}

TEST(ViewTest, WithoutALimitTheDriversFiguresStand) {
  Container container;
  auto probe = container.Start();
  probe->Begin();
  auto bare = container.StartBare();
  bare->Begin();
  EXPECT_EQ(probe->Ask("info"), bare->Ask("info"));
  EXPECT_EQ(probe->Ask("total 0"), bare->Ask("total 0"));  // TRAP A3: 0 bytes in the reference
  EXPECT_EQ(probe->Ask("nvmlmem 0"), bare->Ask("nvmlmem 0"));
}

TEST(ViewTest, ALimitBeyondTheCardIsTheCard) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "900g"}});
  auto probe = container.Start();
  probe->Begin();
  auto bare = container.StartBare();
  bare->Begin();
  EXPECT_EQ(probe->Ask("total 0"), bare->Ask("total 0"));
  EXPECT_EQ(probe->Ask("info").substr(probe->Ask("info").rfind(' ')),
            bare->Ask("info").substr(bare->Ask("info").rfind(' ')));
}

// TRAP A3 (issue 1370): the reference returns an error when more is used than the limit.
TEST(ViewTest, AUsageAboveTheLimitShowsNothingFree) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "2000m"}});
  auto probe = container.Start();
  probe->Begin();
  probe->Value("alloc " + Text(1000 * kMi));
  container.region().v1.limit[0] = 500 * kMi;  // shrunk while it runs
  EXPECT_EQ(probe->Ask("info"), "0 0 " + Text(500 * kMi));
  // TRAP A3 (issues 1181, core 200): 16 EiB by unsigned underflow in the reference.
  EXPECT_EQ(probe->Ask("nvmlmem 0"), "0 " + Text(500 * kMi) + " 0 " + Text(500 * kMi));
  EXPECT_EQ(probe->Code("alloc 1"), 2);
}

// Issue core 333: OptiX passes NULL.
TEST(ViewTest, NullPointersAreTolerated) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "2000m"}});
  auto probe = container.Start();
  probe->Begin();
  EXPECT_EQ(probe->Code("infonull"), 0);
}

TEST(ViewTest, NoContextIsTheDriversOwnError) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "2000m"}});
  auto probe = container.Start();
  probe->Code("init");
  EXPECT_EQ(probe->Code("info"), 201);
  EXPECT_EQ(probe->Code("alloc 100"), 201);
}

struct Visible {
  const char* name;
  const char* devices;
  bool nvml_first;
};

// TRAP B10: in the reference limit and account depend on the order of nvmlInit and cuInit, and
// CUDA_VISIBLE_DEVICES by index, order or UUID lets 4 GiB through a limit of 512 MiB.
class VisibleDevicesTest : public ::testing::TestWithParam<Visible> {};

TEST_P(VisibleDevicesTest, TrapB10_TheLimitFollowsTheCard) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"},
                                {"CUDA_DEVICE_MEMORY_LIMIT_1", "512m"},
                                {"CUDA_DEVICE_MEMORY_LIMIT_2", "700m"}});
  auto names = container.Start();
  names->Code("nvmlinit");
  const std::string uuid = container.region().v1.uuids[1];
  ASSERT_EQ(uuid.substr(0, 4), "GPU-");
  const std::string devices = std::string(GetParam().devices) == "uuid" ? uuid : GetParam().devices;
  auto probe = container.Start({{"CUDA_VISIBLE_DEVICES", devices}});
  if (GetParam().nvml_first) {
    EXPECT_EQ(probe->Code("nvmlinit"), 0);
  }
  probe->Begin(0);
  EXPECT_EQ(probe->Value("total 0"), 512 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(256 * kMi + 1)), 2);
  EXPECT_EQ(probe->Code("alloc " + Text(256 * kMi)), 0);
  EXPECT_EQ(container.Used(1), 512 * kMi);
  EXPECT_EQ(container.Used(0), 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, VisibleDevicesTest,
                         ::testing::Values(Visible{"Subset", "1", false},
                                           Visible{"SubsetNvmlFirst", "1", true},
                                           Visible{"Reordered", "1,0", false},
                                           Visible{"ReorderedNvmlFirst", "1,0,2", true},
                                           Visible{"ByUuid", "uuid", false},
                                           Visible{"ByUuidNvmlFirst", "uuid", true}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace hami::limiter::testing
