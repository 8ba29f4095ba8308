#include "sim/core/cards.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

namespace hami::sim {
namespace {

struct Read {
  bool ok = false;
  std::string error;
  std::unique_ptr<CardSet> set = std::make_unique<CardSet>();
};

Read Parse(const std::string& text) {
  Read read;
  ReadError error;
  read.ok = ParseCards(text.data(), text.size(), *read.set, error);
  read.error = error.text;
  return read;
}

TEST(CardsTest, AModelNameIsEnough) {
  const Read read = Parse("cards:\n  - model: NVIDIA A100-SXM4-40GB\n    count: 2\n");
  ASSERT_TRUE(read.ok) << read.error;
  ASSERT_EQ(read.set->count, 2);
  EXPECT_EQ(read.set->cards[1].memory_bytes, uint64_t{40960} << 20);
  EXPECT_EQ(read.set->cards[1].sm_count, 108u);
  EXPECT_EQ(read.set->cards[1].minor, 1u);
  EXPECT_STRNE(read.set->cards[0].uuid, read.set->cards[1].uuid);
  EXPECT_STRNE(read.set->cards[0].pci_bus_id, read.set->cards[1].pci_bus_id);
}

TEST(CardsTest, GeneratedUuidsFollowTheSeedAlone) {
  const std::string text = "cards: [{model: Tesla T4, count: 3}]\n";
  EXPECT_STREQ(Parse("seed: a\n" + text).set->cards[2].uuid,
               Parse("seed: a\n" + text).set->cards[2].uuid);
  EXPECT_STRNE(Parse("seed: a\n" + text).set->cards[2].uuid,
               Parse("seed: b\n" + text).set->cards[2].uuid);
}

TEST(CardsTest, EveryKeyIsRead) {
  const Read read = Parse(R"(# a comment
driver: 550.54.15
cuda: 12.4
utilization_window_ms: 200
utilization_lag_ms: 700
utilization_sample_ms: 170
pool_chunk_mib: 32
data: kept
defaults:
  context_mib: 300
cards:
- model: "NVIDIA Imaginary"
  memory_mib: 1000
  uuid: GPU-01234567-89ab-cdef-0123-456789abcdef
  minor: 7
  pci_bus_id: "0001:07:1f.0"
  numa: 1
  sm_count: 12
  compute_capability: 9.0
  power_w: 99
  kernel_ns: 5000
  health_script:
    - {at: 250ms, state: xid:79}
    - {at: 3s, state: lost}
    - {at: 9s, state: ok}
- {model: Tesla T4, nvswitch_links: 2}
links:
  - {between: [0, 1], nvlink: 4, pcie: single}
failures:
  cuMemAlloc_v2: {every: 7, code: 2}
  nvmlDeviceGetMemoryInfo: {latency_us: 50}
)");
  ASSERT_TRUE(read.ok) << read.error;
  const Card& card = read.set->cards[0];
  EXPECT_STREQ(card.uuid, "GPU-01234567-89ab-cdef-0123-456789abcdef");
  EXPECT_EQ(card.uuid_bytes[0], 0x01);
  EXPECT_EQ(card.uuid_bytes[15], 0xef);
  EXPECT_EQ(card.context_bytes, uint64_t{300} << 20);
  EXPECT_EQ(card.minor, 7u);
  EXPECT_EQ(card.pci_device, 0x1fu);
  EXPECT_EQ(card.health_count, 3);
  EXPECT_EQ(card.health[0].xid, 79u);
  EXPECT_EQ(read.set->nvlinks[1][0], 4);
  EXPECT_EQ(read.set->level[0][1], PcieLevel::kSingle);
  EXPECT_EQ(read.set->cuda_version, 12040);
  EXPECT_EQ(read.set->utilization_window_ns, 200'000'000u);
  EXPECT_EQ(read.set->utilization_lag_ns, 700'000'000u);
  EXPECT_EQ(read.set->utilization_sample_ns, 170'000'000u);
  EXPECT_TRUE(read.set->keep_data);
  ASSERT_EQ(read.set->fault_count, 2);
  EXPECT_EQ(read.set->faults[0].every, 7u);
  EXPECT_EQ(read.set->faults[1].latency_us, 50u);
}

TEST(CardsTest, AHealthScriptCountsFromTheFilesLastChange) {
  const Read read = Parse(
      "cards: [{model: Tesla T4, health_script: [{at: 3s, state: lost}, {at: 9s, state: ok}]}]\n");
  ASSERT_TRUE(read.ok) << read.error;
  read.set->modified_ns = 1'000'000'000'000;
  const auto at = [&](int64_t second) {
    return HealthAt(*read.set, read.set->cards[0], read.set->modified_ns + second * 1'000'000'000);
  };
  EXPECT_EQ(at(2), Health::kOk);
  EXPECT_EQ(at(3), Health::kLost);
  EXPECT_EQ(at(9), Health::kOk);
}

struct Bad {
  const char* text;
  const char* error;
};

class BadCardsTest : public testing::TestWithParam<Bad> {};

TEST_P(BadCardsTest, IsRefusedWithLineKeyValueAndExpectation) {
  const Read read = Parse(GetParam().text);
  EXPECT_FALSE(read.ok);
  EXPECT_NE(read.error.find(GetParam().error), std::string::npos) << read.error;
}

INSTANTIATE_TEST_SUITE_P(
    Cards, BadCardsTest,
    testing::Values(
        Bad{"", "cards: missing; expected a list"},
        Bad{"cards: 3\n", "line 1: cards: expected a list, got \"3\""},
        Bad{"cards:\n- model: Tesla T4\n  memory_mib: 80G\n",
            "line 3: cards[0].memory_mib: expected an integer of 1 to 4194303, got \"80G\""},
        Bad{"cards:\n- model: Tesla T4\n  memory_mib: -1\n", "got \"-1\""},
        Bad{"cards:\n- model: Tesla T4\n  memory_gb: 3\n", "line 3: unknown key \"memory_gb\""},
        Bad{"card: []\n", "line 1: unknown key \"card\"; known: driver, cuda"},
        Bad{"cards:\n- model: My Own\n", "memory_mib for a model that is not known"},
        Bad{"cards:\n- model: Tesla T4\n  count: 2\n  uuid: "
            "GPU-01234567-89ab-cdef-0123-456789abcdef\n",
            "needs a card of its own (count is 2)"},
        Bad{"cards:\n- model: Tesla T4\n  uuid: 0123\n", "expected a UUID such as"},
        Bad{"cards:\n- {model: Tesla T4, minor: 1}\n- {model: Tesla T4}\n", "have the same minor"},
        Bad{"cards:\n- {model: Tesla T4, count: 33}\n", "integer of 1 to 32, got \"33\""},
        Bad{"cards:\n- {model: Tesla T4, count: 20}\n- {model: Tesla T4, count: 20}\n",
            "more than 32 cards"},
        Bad{"cards:\n- {model: Tesla T4, health_script: [{at: 3, state: lost}]}\n",
            "at: a time such as 3s"},
        Bad{"cards:\n- {model: Tesla T4, health_script: [{at: 3s, state: gone}]}\n",
            "state: ok, lost or xid:<number>, got \"gone\""},
        Bad{"cards: [{model: Tesla T4}]\nlinks: [{between: [0, 1], nvlink: 1}]\n",
            "integer of 0 to 0, got \"1\""},
        Bad{"cards: [{model: Tesla T4}]\nfailures: {malloc: {every: 1, code: 2}}\n",
            "the exported name of a function"},
        Bad{"cards: [{model: Tesla T4}]\nfailures: {cuInit: {every: 1}}\n",
            "every and code together"},
        Bad{"cards: [{model: Tesla T4}]\ncards: []\n",
            "line 2: this key stands here twice: \"cards\""},
        Bad{"cards: [{model: Tesla T4}\n", "line 1: "},
        Bad{"cards:\n\t- model: Tesla T4\n", "line 2: indent with blanks, not with tabs"},
        Bad{"cards:\n- model: Tesla T4\n   count: 2\n", "line 3: "},
        Bad{"cards: &a [{model: Tesla T4}]\n", "not supported here"},
        Bad{"cuda: twelve\ncards: []\n", "a CUDA version such as 12.2, got \"twelve\""}));

TEST(CardsTest, ALineThatOnlyTheEndCutsIsNoCrash) {
  const std::string text =
      "defaults: {context_mib: 1}\ncards:\n- model: 'Tesla T4'\n  health_script: [{at: 1s, state: "
      "ok}]\n"
      "links: [{between: [0, 0], nvlink: 1}]\nfailures: {cuInit: {every: 1, code: 1}}\n";
  for (size_t n = 0; n < text.size(); ++n) {
    Parse(text.substr(0, n));
    std::string mutated = text;
    mutated[n] = static_cast<char>("{}[]:-#\"' \n\t,&"[n % 14]);
    Parse(mutated);
  }
}

}  // namespace
}  // namespace hami::sim
