#include "limiter/account/pool_books.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace hami::limiter::account {
namespace {

constexpr uint64_t kBlock = 42 * PoolBooks::kStep;

TEST(PoolBooksTest, AFreedBlocksRoomIsTheNextRequests) {
  PoolBooks books;
  EXPECT_EQ(books.Enter(kBlock), kBlock);
  books.Leave(kBlock, kBlock, true);
  EXPECT_EQ(books.BeginCover(kBlock), 0u);
  books.Drop(kBlock);
  EXPECT_TRUE(books.HasSlack());
  EXPECT_EQ(books.Enter(kBlock), 0u);
  EXPECT_EQ(books.Enter(1), PoolBooks::kStep);
}

TEST(PoolBooksTest, AReadingThatIsOlderThanAChangeLowersNothing) {
  PoolBooks books;
  const uint64_t growth = books.Enter(kBlock);
  books.Leave(kBlock, growth, true);
  books.Drop(kBlock);
  const uint64_t seen = books.changes;
  books.Enter(kBlock);
  EXPECT_EQ(books.TakeSurplus(0, seen), 0u);
  books.Leave(kBlock, 0, false);
  EXPECT_EQ(books.TakeSurplus(0, books.changes), kBlock);
  EXPECT_TRUE(books.IsEmpty());
}

// Seen as 80 MiB beyond the limit, once in thousands of runs: what one thread tried to book after
// its grant, by a reading that was old, another one's request counted on.
TEST(PoolBooksTest, WhatIsBeingCoveredIsNobodysToUse) {
  PoolBooks books;
  const uint64_t missing = books.BeginCover(kBlock);
  EXPECT_EQ(missing, kBlock);
  EXPECT_EQ(books.Enter(kBlock), kBlock);
  books.EndCover(missing, false);
  EXPECT_EQ(books.booked, 0u);
}

// Threads that take and give blocks of a pool, each step of pool.cc by itself, in any order.
class Interleaving {
 public:
  static constexpr uint64_t kLimit = 3 * kBlock;

  Interleaving(uint32_t seed, size_t threads) : random_(seed), threads_(threads) {}

  // The most that the driver reserved.
  uint64_t Run(int steps) {
    size_t thread = 0;
    for (int i = 0; i < steps; ++i) {
      if (random_() % 3 == 0) thread = random_() % threads_.size();
      Step(threads_[thread]);
    }
    return most_reserved_;
  }

 private:
  enum At {
    kEnter,
    kReserve,
    kTrim,
    kRead,
    kSettle,
    kDriver,
    kLeave,
    kReport,
    kCover,
    kCovered,
    kFree,
    kDrop
  };
  struct Thread {
    At at = kEnter;
    uint64_t growth = 0, missing = 0, seen = 0, reserved = 0;
    int tries = 0;
  };

  void Step(Thread& t) {
    switch (t.at) {
      case kEnter:
        t.growth = books_.Enter(kBlock);
        t.tries = 0;
        t.at = t.growth == 0 ? kDriver : kReserve;
        return;
      case kReserve:
        if (Book(t.growth)) return void(t.at = kDriver);
        if (++t.tries < 3) return void(t.at = kTrim);
        books_.Leave(kBlock, t.growth, false);
        return void(t.at = kEnter);
      case kTrim:
        reserved_ = used_;
        return void(t.at = kRead);
      case kRead:
        t.seen = books_.changes;
        t.reserved = reserved_;
        return void(t.at = kSettle);
      case kSettle:
        account_ -= books_.TakeSurplus(t.reserved, t.seen);
        return void(t.at = kReserve);
      case kDriver:
        used_ += kBlock;
        reserved_ = std::max(reserved_, used_);
        most_reserved_ = std::max(most_reserved_, reserved_);
        return void(t.at = kLeave);
      case kLeave:
        books_.Leave(kBlock, t.growth, true);
        return void(t.at = kReport);
      case kReport:
        t.reserved = reserved_;
        return void(t.at = kCover);
      case kCover:
        t.missing = books_.BeginCover(t.reserved);
        return void(t.at = t.missing == 0 ? kFree : kCovered);
      case kCovered:
        books_.EndCover(t.missing, Book(t.missing));
        return void(t.at = kFree);
      case kFree:
        used_ -= kBlock;
        return void(t.at = kDrop);
      case kDrop:
        books_.Drop(kBlock);
        return void(t.at = kEnter);
    }
  }
  bool Book(uint64_t bytes) {
    if (account_ + bytes > kLimit) return false;
    account_ += bytes;
    return true;
  }

  std::mt19937 random_;
  PoolBooks books_;
  std::vector<Thread> threads_;
  uint64_t account_ = 0, used_ = 0, reserved_ = 0, most_reserved_ = 0;
};

TEST(PoolBooksTest, ThreadsThatRaceNeverExceedTheLimit) {
  for (uint32_t seed = 0; seed < 600; ++seed) {
    ASSERT_EQ(Interleaving(seed, 4 + seed % 3).Run(20'000), Interleaving::kLimit) << seed;
  }
}

}  // namespace
}  // namespace hami::limiter::account
