#include "limiter/region/account.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace hami::limiter::region {
namespace {

// Two processes' slots on device 0.
struct Books {
  std::unique_ptr<HamiRegion> region = std::make_unique<HamiRegion>();
  sys::ShortLock turns[8];
  Account<>::Words Of(unsigned slot) {
    HamiExtSlot& ext = region->ext.slots[slot];
    Account<>::StoreState(ext, HAMI_SLOT_LIVE);
    return {&region->ext.header, &region->ext.header.devices[0],  &ext.device[0],
            &ext.pending[0],     &region->v1.procs[slot].used[0], &turns[slot]};
  }
  uint64_t Used() { return BytesOf(region->ext.header.devices[0].used_total); }
  bool Repair() {
    Account<>::RaiseSlotCount(*region, 8);
    return Account<>::Repair(*region, 0).lowered;
  }
};

TEST(AccountTest, RefusesOnlyWhatWouldExceedTheLimit) {
  Books books;
  const auto words = books.Of(0);
  EXPECT_TRUE(Account<>::Begin(words, 60, 100));
  EXPECT_FALSE(Account<>::Begin(words, 41, 100));
  EXPECT_TRUE(Account<>::Begin(words, 40, 100));
  EXPECT_FALSE(Account<>::Begin(words, 1, 100));
  EXPECT_EQ(books.Used(), 100u);
  Account<>::Commit(words, HAMI_KIND_DATA, 60, 60);
  Account<>::Cancel(words, 40);
  EXPECT_EQ(books.Used(), 60u);
  EXPECT_EQ(Account<>::SlotSum(books.region->ext.slots[0], 0).bytes, 60u);
}

TEST(AccountTest, AHugeRequestNeitherWrapsNorDisturbsASmallOne) {
  Books books;
  const auto words = books.Of(0);
  EXPECT_FALSE(Account<>::Begin(words, kAbsurdBytes - 1, 100));
  EXPECT_TRUE(Account<>::Begin(words, 100, 100));
  EXPECT_EQ(Account<>::SlotPending(books.region->ext.slots[0], 0), 100u);
}

TEST(AccountTest, NoLimitStillCounts) {
  Books books;
  const auto words = books.Of(0);
  EXPECT_TRUE(Account<>::Begin(words, 1u << 30, 0));
  Account<>::Commit(words, HAMI_KIND_VMM, 1u << 30, 1u << 30);
  EXPECT_EQ(books.Used(), 1u << 30);
}

TEST(AccountTest, ASmallerOutcomeGivesTheRestBack) {
  Books books;
  const auto words = books.Of(0);
  ASSERT_TRUE(Account<>::Begin(words, 500, 1000));
  Account<>::Commit(words, HAMI_KIND_CONTEXT, 500, 300);
  EXPECT_EQ(books.Used(), 300u);
  EXPECT_EQ(books.region->v1.procs[0].used[0].context_size, 300u);
  EXPECT_EQ(books.region->v1.procs[0].used[0].total, 300u);
  Account<>::Release(words, HAMI_KIND_CONTEXT, 300);
  EXPECT_EQ(books.Used(), 0u);
  EXPECT_EQ(books.region->v1.procs[0].used[0].total, 0u);
}

TEST(AccountTest, UpToTakesWhatIsLeft) {
  Books books;
  const auto words = books.Of(0);
  EXPECT_EQ(Account<>::BeginUpTo(words, 700, 500), 500u);
  EXPECT_EQ(Account<>::BeginUpTo(words, 700, 500), 0u);
  EXPECT_EQ(Account<>::BeginUpTo(words, 700, 0), 700u);
  EXPECT_EQ(Account<>::SlotPending(books.region->ext.slots[0], 0), 1200u);
}

// B11: 17 TiB in nvidia-smi after a double subtraction.
TEST(AccountTest, SubtractionStopsAtZeroAndIsCounted) {
  Books books;
  const auto words = books.Of(0);
  Account<>::Begin(words, 10, 0);
  Account<>::Commit(words, HAMI_KIND_DATA, 10, 10);
  Account<>::Release(words, HAMI_KIND_DATA, 11);
  EXPECT_EQ(books.Used(), 0u);
  EXPECT_EQ(Account<>::SlotSum(books.region->ext.slots[0], 0).bytes, 0u);
  EXPECT_EQ(books.region->ext.header.saturated, 2u);
}

TEST(AccountTest, RepairLowersATotalToTheSumOfTheSlotsAndNoFurther) {
  Books books;
  const auto first = books.Of(0);
  const auto second = books.Of(1);
  Account<>::Begin(first, 70, 0);
  Account<>::Commit(first, HAMI_KIND_DATA, 70, 70);
  Account<>::Begin(second, 30, 0);
  EXPECT_FALSE(books.Repair());
  books.region->ext.slots[0].device[0].bytes[HAMI_KIND_DATA] =
      0;  // died, reaped, total left behind
  books.region->ext.slots[0].state = HAMI_SLOT_FREE;
  EXPECT_TRUE(books.Repair());
  EXPECT_EQ(books.Used(), 30u);
  EXPECT_FALSE(books.Repair());
}

TEST(AccountTest, ThreadsNeverExceedTheLimitAndEndAtZero) {
  Books books;
  constexpr uint64_t kLimit = 1000;
  std::vector<std::thread> threads;
  std::atomic<uint64_t> held{0}, refused{0};
  std::atomic<bool> exceeded{false};
  for (unsigned slot = 0; slot < 4; ++slot) books.Of(slot);
  for (unsigned t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const auto words = books.Of(t % 4);
      std::mt19937 random(t);
      for (int i = 0; i < 30'000; ++i) {
        const uint64_t bytes = 1 + random() % 1200;  // some are beyond the limit by themselves
        if (!Account<>::Begin(words, bytes, kLimit)) {
          ++refused;
          continue;
        }
        if (held.fetch_add(bytes) + bytes > kLimit) exceeded = true;
        Account<>::Commit(words, HAMI_KIND_DATA, bytes, bytes);
        held.fetch_sub(bytes);
        Account<>::Release(words, HAMI_KIND_DATA, bytes);
        if (i % 64 == 0) books.Repair();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(exceeded);
  EXPECT_GT(refused, 0u);
  EXPECT_EQ(books.Used(), 0u);
  for (unsigned slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(Account<>::SlotSum(books.region->ext.slots[slot], 0).bytes, 0u);
    EXPECT_EQ(books.region->v1.procs[slot].used[0].total, 0u);
  }
}

TEST(AccountTest, ThePrefixSaysTheSameWheneverTheProcessIsAtRest) {
  Books books;
  const auto words = books.Of(0);
  constexpr unsigned kThreads = 4;
  for (int round = 0; round < 200; ++round) {
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < kThreads; ++t) {
      threads.emplace_back([&words, t, round] {
        const unsigned kind = (t + static_cast<unsigned>(round)) % HAMI_KINDS;
        for (uint64_t i = 1; i <= 50; ++i) {
          Account<>::Begin(words, i, 0);
          Account<>::Commit(words, kind, i, i);
          if (i % 3 != 0) Account<>::Release(words, kind, i);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const uint64_t(&bytes)[HAMI_KINDS] = words.own->bytes;
    const HamiV1Used& shown = *words.mirror;
    ASSERT_EQ(shown.context_size, bytes[HAMI_KIND_CONTEXT]) << round;
    ASSERT_EQ(shown.total, Account<>::SlotSum(books.region->ext.slots[0], 0).bytes) << round;
    ASSERT_EQ(shown.total, shown.context_size + shown.data_size) << round;
    ASSERT_EQ(shown.total, books.Used()) << round;
  }
}

}  // namespace
}  // namespace hami::limiter::region
