// Spec C7, C8, D2.11: limits change while processes run, and hold for processes that have nothing
// of the container's environment. The changes are made by the code that hami-region and the node
// use.
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "platform/region/limits_file.h"
#include "platform/region/mapped_region.h"
#include "platform/region/region_file.h"
#include "platform/region/verify.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

Bytes Mi(int64_t count) { return ToBytes(MiB{count}); }

// What NVML shows as the first card: the same in every container of these tests.
std::string FirstCard() {
  Container scout;
  scout.Start()->Begin();
  return scout.region().v1.uuids[0];
}

class ResizeTest : public ::testing::Test {
 protected:
  // As the node prepares a container: region, page beside the library, the plugin's environment.
  void SetUp() override {
    std::filesystem::copy_file(Limiter(), library_);
    ASSERT_TRUE(region::CreateLimits(page_, {.generation = 2,
                                             .region_path = container_.region_path(),
                                             .cards = {{.uuid = card_,
                                                        .memory = Mi(1000),
                                                        .initial_memory = Mi(1000),
                                                        .cores = Percent{100},
                                                        .initial_cores = Percent{100}}}}));
    ASSERT_TRUE(region::Create(container_.region_path(),
                               {.cards = {{card_, Mi(1000), Bytes{0}, Percent{100}}}}));
  }
  std::unique_ptr<Probe> Start(Variables more = {}) {
    more.insert({"LD_PRELOAD", library_});
    auto probe = container_.Start(more);
    probe->Begin();
    return probe;
  }
  std::unique_ptr<Probe> StartWithoutEnvironment() {
    return Start({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", ""}, {"CUDA_DEVICE_MEMORY_LIMIT_0", ""}});
  }
  void Resize(int64_t mib) {
    EXPECT_TRUE(region::ChangeLimits(page_, card_, {.memory = Mi(mib)}));
    auto mapped = region::MappedRegion::Open(container_.region_path(), true);
    ASSERT_TRUE(mapped) << mapped.error().message;
    EXPECT_TRUE(mapped->Change(0, {.memory = Mi(mib)}));
  }
  static std::string Info(uint64_t free_mi, uint64_t total_mi) {
    return "0 " + Text(free_mi * kMi) + " " + Text(total_mi * kMi);
  }

  const std::string card_ = FirstCard();
  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "1000m"}}};
  const std::string library_ = container_.folder() + "/libvgpu.so";
  const std::string page_ = container_.folder() + "/limits.ro";
};

TEST_F(ResizeTest, UpBelowUseAndBackHoldAtOnceForARunningProcess) {
  auto probe = Start();
  const uint64_t first = probe->Value("alloc " + Text(700 * kMi));
  EXPECT_EQ(probe->Ask("info"), Info(44, 1000));
  EXPECT_EQ(probe->Code("alloc " + Text(500 * kMi)), 2);
  Resize(2000);
  EXPECT_EQ(probe->Ask("info"), Info(1044, 2000));
  const uint64_t second = probe->Value("alloc " + Text(500 * kMi));
  Resize(900);
  EXPECT_EQ(probe->Ask("info"), Info(0, 900));
  EXPECT_EQ(probe->Code("alloc 1"), 2);
  EXPECT_EQ(probe->Value("total 0"), 900 * kMi);
  EXPECT_EQ(probe->Code("free " + Text(second)), 0);  // 956 MiB: still more than 900
  EXPECT_EQ(probe->Code("alloc 1"), 2);
  EXPECT_EQ(probe->Code("free " + Text(first)), 0);
  EXPECT_EQ(probe->Ask("info"), Info(644, 900));
  probe->Value("alloc " + Text(644 * kMi));
  EXPECT_EQ(probe->Code("alloc 1"), 2);
  Resize(1000);
  probe->Value("alloc " + Text(100 * kMi));
  EXPECT_EQ(probe->Code("alloc 1"), 2);
  EXPECT_EQ(container_.CardUsed(0), 1000 * kMi);
}

// Issue 2125: ssh, cron, env -i.
TEST_F(ResizeTest, AProcessWithoutTheEnvironmentSharesAccountAndLimit) {
  auto usual = Start();
  usual->Value("alloc " + Text(400 * kMi));
  auto bare = StartWithoutEnvironment();
  EXPECT_EQ(bare->Ask("info"), Info(88, 1000));  // both contexts and the neighbour's 400
  EXPECT_EQ(bare->Code("alloc " + Text(88 * kMi + 1)), 2);
  Resize(1500);
  bare->Value("alloc " + Text(588 * kMi));
  EXPECT_EQ(usual->Code("alloc 1"), 2);
  EXPECT_EQ(container_.CardUsed(0), 1500 * kMi);
  EXPECT_EQ(bare->Errors().find("cannot use"), std::string::npos);
}

// The page alone: nothing of the container's environment, and no region any more.
TEST_F(ResizeTest, EnvMinusIHasThePagesLimits) {
  const std::vector<std::string> command = {"env",
                                            "-i",
                                            "LD_PRELOAD=" + library_,
                                            "LD_LIBRARY_PATH=" + SimLibraries(),
                                            "FAKEGPU_STATE=" + container_.folder() + "/state",
                                            "FAKEGPU_COUNT=4",
                                            "FAKEGPU_CTX_MB=256",
                                            ProbeProgram()};
  auto usual = Start();
  auto empty = container_.StartProgram(command, {}, false);
  empty->Begin();
  EXPECT_EQ(empty->Ask("info"), Info(488, 1000));  // with the other's context
  EXPECT_EQ(empty->Code("alloc " + Text(488 * kMi + 1)), 2);
  Resize(600);
  EXPECT_EQ(empty->Ask("info"), Info(88, 600));
  std::filesystem::remove(container_.region_path());
  auto without = container_.StartProgram(command, {}, false);
  without->Begin();
  EXPECT_EQ(without->Ask("info"), Info(344, 600));
  EXPECT_EQ(without->Code("alloc " + Text(344 * kMi + 1)), 2);
  EXPECT_EQ(without->Errors().find("cannot use"), std::string::npos);
}

TEST_F(ResizeTest, AUserWhoNamesAnotherRegionStaysInThisOne) {
  auto usual = Start();
  usual->Value("alloc " + Text(400 * kMi));
  const std::string other = container_.folder() + "/other.cache";
  auto clever = Start({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", other}});
  EXPECT_EQ(clever->Ask("info"), Info(88, 1000));
  EXPECT_FALSE(std::filesystem::exists(other));
}

TEST_F(ResizeTest, AForkedChildHasTheLimitOfNow) {
  auto parent = container_.Start({{"LD_PRELOAD", library_},
                                  {"CUDA_DEVICE_MEMORY_SHARED_CACHE", ""},
                                  {"CUDA_DEVICE_MEMORY_LIMIT_0", ""}});
  Resize(600);
  const std::string answers = parent->Ask("fork init;ctx;total 0;alloc " + Text(345 * kMi));
  EXPECT_EQ(answers, "0;0;0 " + Text(600 * kMi) + ";2 0;");
}

// What an operator runs beside a working container must not cry wolf.
TEST_F(ResizeTest, VerifyFindsNothingWrongBesideProcessesAtWorkAndUnderKills) {
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 3; ++i) probes.push_back(Start());
  for (auto& probe : probes) probe->Send("stress 2 2 " + Text(100 * kMi));
  auto region = region::MappedRegion::Open(container_.region_path(), true);
  ASSERT_TRUE(region);
  const auto problems = [&] {
    std::string text;
    for (const region::Finding& finding : region::Verify(*region)) {
      if (finding.severity == region::Severity::kProblem) text += finding.what + "\n";
    }
    return text;
  };
  for (int i = 0; i < 200; ++i) ASSERT_EQ(problems(), "");
  probes.back()->Kill();
  probes.pop_back();
  for (int i = 0; i < 50; ++i) region->Clean();
  for (auto& probe : probes) probe->Receive();
  region->Clean();
  EXPECT_EQ(problems(), "");
  EXPECT_EQ(region->Look().cards[0].used, Bytes{int64_t{2 * kContext}});
  EXPECT_EQ(container_.CardUsed(0), 2 * kContext);
}

TEST_F(ResizeTest, AUsersLowerWishHoldsWhenTheLimitIsRaised) {
  auto modest = Start({{"CUDA_DEVICE_MEMORY_LIMIT_0", "500m"}});
  auto greedy = Start({{"CUDA_DEVICE_MEMORY_LIMIT_0", "64g"}});
  EXPECT_EQ(modest->Value("total 0"), 500 * kMi);
  EXPECT_EQ(greedy->Value("total 0"), 1000 * kMi);
  Resize(2000);
  EXPECT_EQ(modest->Value("total 0"), 500 * kMi);
  EXPECT_EQ(greedy->Value("total 0"), 2000 * kMi);
  Resize(300);
  EXPECT_EQ(modest->Value("total 0"), 300 * kMi);
}

TEST_F(ResizeTest, AUserWhoWritesIntoTheRegionGainsNothing) {
  auto probe = Start();
  container_.region().v1.limit[0] = 0;
  container_.region().ext.header.devices[0].initial_limit = 0;
  EXPECT_EQ(probe->Value("total 0"), 1000 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(800 * kMi)), 2);
  std::filesystem::remove(container_.region_path());
  auto newcomer = Start();  // makes the region again, with the page's limit
  EXPECT_EQ(newcomer->Value("total 0"), 1000 * kMi);
}

// Renaming a card in the region takes it off the page's list only for who believes the region.
TEST_F(ResizeTest, AUserWhoRenamesTheCardInTheRegionGainsNothing) {
  HamiV1Region& v1 = container_.region().v1;
  v1.uuids[0][5] = v1.uuids[0][5] == '0' ? '1' : '0';
  v1.limit[0] = 0;
  auto probe = Start();
  EXPECT_EQ(probe->Value("total 0"), 1000 * kMi);
}

}  // namespace
}  // namespace hami::limiter::testing
