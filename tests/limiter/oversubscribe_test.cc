// Spec C5: a container that was promised more memory than its share of the card.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "platform/region/limits_file.h"
#include "platform/region/mapped_region.h"
#include "platform/region/region_file.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

constexpr int kIsManaged = 8, kHostPointer = 4;

// Limit 2000 MiB on a card that has 800.
class OversubscribeTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 2000 * kMi;
  static constexpr uint64_t kShare = 800 * kMi;

  void SetUp() override {
    Container scout;
    scout.Start()->Begin();
    const std::string card = scout.region().v1.uuids[0];
    ASSERT_TRUE(region::Create(
        container_.region_path(),
        {.cards = {{card, Bytes{int64_t{kLimit}}, Bytes{int64_t{kShare}}, Percent{100}}}}));
  }
  void TearDown() override { EXPECT_EQ(container_.region().ext.header.saturated, 0u); }
  std::unique_ptr<Probe> Start(Variables more = {}) {
    auto probe = container_.Start(more);
    probe->Begin();
    return probe;
  }
  uint64_t Kind(int kind) {
    uint64_t sum = 0;
    for (int i = 0; i < container_.region().v1.proc_num; ++i) {
      sum += container_.region().ext.slots[i].device[0].bytes[kind];
    }
    return sum;
  }

  Container container_{Variables{{"CUDA_OVERSUBSCRIBE", "true"}, {"FAKEGPU_MEM_MB", "800"}}};
};

TEST_F(OversubscribeTest, WhatDoesNotFitTheShareIsManagedAndTheLimitHolds) {
  auto probe = Start();
  EXPECT_EQ(probe->Ask("info"), "0 " + Text(kLimit - kContext) + " " + Text(kLimit));
  EXPECT_EQ(probe->Value("total 0"), kLimit);
  const uint64_t real = probe->Value("alloc " + Text(500 * kMi));
  const uint64_t beyond = probe->Value("alloc " + Text(1000 * kMi));
  EXPECT_EQ(Kind(HAMI_KIND_DATA), 500 * kMi);
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 1000 * kMi);
  EXPECT_EQ(probe->Ask("info"), "0 " + Text(244 * kMi) + " " + Text(kLimit));
  EXPECT_EQ(probe->Code("alloc " + Text(245 * kMi)), 2);
  const uint64_t rest = probe->Value("alloc " + Text(244 * kMi));
  EXPECT_EQ(probe->Code("alloc 1"), 2);
  for (const uint64_t pointer : {real, beyond, rest}) {
    EXPECT_EQ(probe->Code("free " + Text(pointer)), 0);
  }
  EXPECT_EQ(container_.Used(0), kContext);
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 0u);
  probe->Value("alloc " + Text(500 * kMi));  // fits the share again
  EXPECT_EQ(Kind(HAMI_KIND_DATA), 500 * kMi);
}

TEST_F(OversubscribeTest, TheShareIsTheContainersNotTheProcesss) {
  auto first = Start();
  auto second = Start();
  first->Value("alloc " + Text(200 * kMi));
  second->Value("alloc " + Text(200 * kMi));  // 912 with both contexts: more than 800
  EXPECT_EQ(Kind(HAMI_KIND_DATA), 200 * kMi);
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 200 * kMi);
}

TEST_F(OversubscribeTest, TheShareOfAKilledProcessIsFreeAtOnce) {
  auto first = Start();
  first->Value("alloc " + Text(500 * kMi));
  first->Kill();
  auto second = Start();
  second->Value("alloc " + Text(500 * kMi));
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 0u);
}

TEST_F(OversubscribeTest, ABlockAnswersAsWhatTheProgramAskedFor) {
  auto probe = Start();
  const std::string real = Text(probe->Value("alloc " + Text(500 * kMi)));
  const std::string beyond = Text(probe->Value("alloc " + Text(100 * kMi)));
  const std::string own = Text(probe->Value("managed " + Text(100 * kMi)));
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 200 * kMi);
  const auto ask = [&](int attribute, const std::string& pointer) {
    return probe->Ask("attribute " + std::to_string(attribute) + " " + pointer);
  };
  EXPECT_EQ(ask(kIsManaged, real), "0 0");
  EXPECT_EQ(ask(kIsManaged, beyond), "0 0");
  EXPECT_EQ(ask(kIsManaged, Text(std::stoull(beyond) + 4096)), "0 0");
  EXPECT_EQ(ask(kIsManaged, own), "0 1");
  EXPECT_EQ(ask(kHostPointer, beyond), ask(kHostPointer, real));
  EXPECT_EQ(ask(kHostPointer, own), "0 " + own);
  EXPECT_EQ(probe->Ask("attributes " + beyond), "0 0 0");
  EXPECT_EQ(probe->Ask("attributes " + own), "0 1 " + own);
}

TEST_F(OversubscribeTest, RowsBeyondTheShareKeepTheirPitch) {
  auto probe = Start();
  probe->Value("alloc " + Text(540 * kMi));
  const std::string answer = probe->Ask("pitch 1000 " + Text(10 * 1024));
  EXPECT_EQ(answer.substr(0, 2), "0 ");
  EXPECT_EQ(answer.substr(answer.rfind(' ') + 1), "1024");
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 10 * kMi);
}

TEST_F(OversubscribeTest, WhatMustBeOnTheCardIsRefusedBeyondTheShare) {
  auto probe = Start();
  probe->Value("alloc " + Text(540 * kMi));  // 4 MiB of the share are left
  EXPECT_EQ(probe->Code("create " + Text(64 * kMi)), 2);
  EXPECT_EQ(probe->Code("async " + Text(64 * kMi)), 2);
  EXPECT_EQ(probe->Code("array 1024 1024 16"), 2);
  EXPECT_NE(probe->Errors().find("Device 0 OOM " + Text(860 * kMi) + " / " + Text(kShare)),
            std::string::npos)
      << probe->Errors();
  EXPECT_EQ(container_.Used(0), kContext + 540 * kMi);
  probe->Value("create " + Text(2 * kMi));
}

TEST_F(OversubscribeTest, AManagedBlockIsNotExportedAndLaterOnesCanBe) {
  auto probe = Start();
  probe->Value("alloc " + Text(500 * kMi));
  const uint64_t beyond = probe->Value("alloc " + Text(100 * kMi));
  EXPECT_EQ(probe->Code("export " + Text(beyond)), 1);
  EXPECT_NE(probe->Errors().find("cannot be exported"), std::string::npos);
  EXPECT_EQ(probe->Code("alloc " + Text(100 * kMi)), 2);  // would be managed
  probe->Value("alloc " + Text(10 * kMi));
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 100 * kMi);
}

TEST_F(OversubscribeTest, ACardThatIsFullGivesManagedMemoryToo) {
  Container full(Variables{{"CUDA_OVERSUBSCRIBE", "1"},
                           {"FAKEGPU_MEM_MB", "1000"},
                           {"CUDA_DEVICE_MEMORY_LIMIT", "3000m"}});
  auto probe = full.Start();
  probe->Begin();
  probe->Value("alloc " + Text(700 * kMi));
  probe->Value("alloc " + Text(1500 * kMi));  // no share on file: what the driver refuses
  EXPECT_EQ(probe->Ask("info"), "0 " + Text((3000 - 2456) * kMi) + " " + Text(3000 * kMi));
  EXPECT_EQ(full.Used(0), kContext + 2200 * kMi);
  EXPECT_EQ(full.CardPeak(0), 1000 * kMi);
}

// Cards before Pascal, and Windows' driver: pages do not move while kernels run.
TEST_F(OversubscribeTest, ACardThatCannotPageIsNotOversubscribedAndSaysSoOnce) {
  const std::string cards = container_.folder() + "/cards.yaml";
  std::ofstream(cards) << "defaults: {context_mib: 256}\n"
                          "cards:\n  - model: NVIDIA A100-SXM4-40GB\n    count: 4\n"
                          "failures:\n  cuDeviceGetAttribute: {every: 1, code: 1}\n";
  auto probe = Start({{"FAKEGPU_CONFIG", cards}});
  EXPECT_EQ(probe->Ask("info"), "0 " + Text(kShare - kContext) + " " + Text(kShare));
  EXPECT_EQ(probe->Code("alloc " + Text(545 * kMi)), 2);
  probe->Value("alloc " + Text(544 * kMi));
  EXPECT_EQ(Kind(HAMI_KIND_MANAGED), 0u);
  const std::string said = probe->Errors();
  const size_t first = said.find("not oversubscribed");
  EXPECT_NE(first, std::string::npos);
  EXPECT_EQ(said.find("not oversubscribed", first + 1), std::string::npos);
}

}  // namespace
}  // namespace hami::limiter::testing
