// Spec D2.8: what every call says of the card's memory, for a limit of every relation to context,
// usage and card. The expectation is formed by the rule of A3 from the card's own figures.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

struct Case {
  const char* name;
  uint64_t limit_mi;      // in the environment; 0: none
  uint64_t own_mi;        // what the program allocates
  uint64_t shrunk_mi;     // the limit while it is asked; 0: as it was
  uint64_t left_free_mi;  // a neighbour takes the card but for so much; 0: there is none
};

// The numbers of an answer, the code first.
std::vector<uint64_t> Numbers(const std::string& answer) {
  std::istringstream in(answer);
  std::vector<uint64_t> numbers;
  for (uint64_t number; in >> number;) numbers.push_back(number);
  return numbers;
}

class InfoTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    neighbour_->Begin();
    probe_->Begin();
    if (GetParam().own_mi != 0) probe_->Value("alloc " + Text(GetParam().own_mi * kMi));
    if (GetParam().shrunk_mi != 0) {
      container_.region().v1.limit[0] = GetParam().shrunk_mi * kMi;
      limit_ = GetParam().shrunk_mi * kMi;
    }
    if (GetParam().left_free_mi != 0) {
      neighbour_->Value("alloc " + Text(Card()[1] - GetParam().left_free_mi * kMi));
    }
  }
  // Code, free and total of the card.
  std::vector<uint64_t> Card() { return Numbers(neighbour_->Ask("info")); }

  uint64_t limit_ = GetParam().limit_mi * kMi;
  const uint64_t used_ = kContext + GetParam().own_mi * kMi;
  Container container_{limit_ == 0 ? Variables{}
                                   : Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", Text(limit_)}}};
  std::unique_ptr<Probe> probe_ = container_.Start();
  // Of another container, without the library.
  std::unique_ptr<Probe> neighbour_ = container_.StartBare();
};

TEST_P(InfoTest, CuMemGetInfoAndTotalMem) {
  const auto card = Card();
  uint64_t free = card[1], total = card[2];
  if (limit_ != 0) {
    total = std::min(limit_, total);
    free = std::min(used_ < total ? total - used_ : 0, free);
  }
  const std::string answer = "0 " + Text(free) + " " + Text(total);
  EXPECT_EQ(probe_->Ask("info"), answer);
  EXPECT_EQ(probe_->Ask("total 0"), "0 " + Text(total));
  EXPECT_EQ(probe_->Ask("infofree"), "0 " + Text(free) + " 1");
  EXPECT_EQ(probe_->Ask("infototal"), "0 1 " + Text(total));
  EXPECT_EQ(probe_->Code("infonull"), 0);
  const uint64_t most = 0xffffffff;  // the forms of CUDA 3.1
  EXPECT_EQ(probe_->Ask("info1"),
            "0 " + Text(std::min(free, most)) + " " + Text(std::min(total, most)));
  EXPECT_EQ(probe_->Ask("total1 0"), "0 " + Text(std::min(total, most)));
}

TEST_P(InfoTest, NvmlMemory) {
  const auto bare = Numbers(neighbour_->Ask("nvmlmem 0"));
  uint64_t total = bare[1], free = bare[2], used = bare[3];
  if (limit_ != 0) {
    total = std::min(limit_, total);
    used = std::min(used_, total);
    free = total - used;
  }
  const std::string answer = "0 " + Text(total) + " " + Text(free) + " " + Text(used);
  EXPECT_EQ(probe_->Ask("nvmlmem 0"), answer);
  EXPECT_EQ(probe_->Ask("nvmlmem2 0"), limit_ == 0 ? neighbour_->Ask("nvmlmem2 0") : answer + " 0");
}

TEST_P(InfoTest, WithoutAPlaceForTheAnswerTheDriversErrorStands) {
  EXPECT_EQ(probe_->Ask("totalnull 0"), neighbour_->Ask("totalnull 0"));
  EXPECT_EQ(probe_->Ask("nvmlnull 0"), neighbour_->Ask("nvmlnull 0"));
}

TEST_P(InfoTest, WithoutAContextTheDriversErrorStands) {
  auto without = container_.Start();
  auto bare = container_.StartBare();
  for (const char* command : {"info", "infonull", "info1", "total 0"}) {  // before cuInit
    EXPECT_EQ(without->Code(command), bare->Code(command)) << command;
  }
  EXPECT_EQ(without->Code("init"), 0);
  EXPECT_EQ(bare->Code("init"), 0);
  for (const char* command : {"info", "infonull", "info1", "infofree"}) {
    EXPECT_EQ(bare->Code(command), 201) << command;
    EXPECT_EQ(without->Code(command), 201) << command;
  }
  EXPECT_EQ(without->Ask("total 0"), probe_->Ask("total 0"));
}

INSTANTIATE_TEST_SUITE_P(
    Limits, InfoTest,
    ::testing::Values(Case{"None", 0, 100, 0, 0}, Case{"NoneBesideANeighbour", 0, 100, 0, 700},
                      Case{"Ordinary", 3000, 1000, 0, 0}, Case{"JustUsed", 1256, 1000, 0, 0},
                      Case{"BelowTheContext", 3000, 0, 100, 0},
                      Case{"BelowUse", 3000, 1000, 500, 0},
                      Case{"BeyondTheCard", 900 * 1024, 1000, 0, 0},
                      Case{"BeyondWhatANeighbourLeft", 3000, 1000, 0, 500},
                      Case{"BeyondTheCardAndANeighbour", 900 * 1024, 1000, 0, 500},
                      Case{"BelowUseBesideANeighbour", 3000, 1000, 500, 300}),
    [](const auto& test) { return test.param.name; });

// Issue 1370: no context fits, and whoever asks all the same gets an answer.
TEST(SmallLimitTest, ALimitBelowAContextIsShownAsItIs) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "100m"}});
  auto probe = container.Start();
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Value("total 0"), 100 * kMi);
  EXPECT_EQ(probe->Code("ctx 0"), 2);
  EXPECT_EQ(probe->Code("info"), 201);
  EXPECT_EQ(probe->Ask("nvmlmem 0"), "0 " + Text(100 * kMi) + " " + Text(100 * kMi) + " 0");
  // How large a context is, the driver alone knew: it has made one and has taken it back. Once.
  EXPECT_EQ(container.CardUsed(0), 0u);
  EXPECT_EQ(container.region().ext.header.devices[0].context_size, kContext);
  EXPECT_EQ(probe->Code("ctx 0"), 2);
  EXPECT_EQ(container.Used(0), 0u);
}

// Issue 3: "the next process that looks, one second later", also one that has looked before.
TEST(LookAgainTest, AfterKill9CuMemGetInfoIsExactOneSecondLater) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  auto looker = container.Start();
  looker->Begin();
  for (int round = 0; round < 3; ++round) {
    auto victim = container.Start();
    victim->Begin();
    victim->Value("alloc " + Text(1000 * kMi));
    const uint64_t held = 2 * kContext + 1000 * kMi;
    EXPECT_EQ(looker->Ask("info"), "0 " + Text(3000 * kMi - held) + " " + Text(3000 * kMi));
    victim->Kill();
    sleep(1);  // the promise
    EXPECT_EQ(looker->Ask("info"), "0 " + Text(3000 * kMi - kContext) + " " + Text(3000 * kMi));
    EXPECT_EQ(container.Used(0), kContext);
  }
}

}  // namespace
}  // namespace hami::limiter::testing
