#include "platform/region/mapped_region.h"

#include <gtest/gtest.h>

#include "limiter/region/lock.h"
#include "platform/region/region_fixture.h"

namespace hami::region {
namespace {

class MappedRegionTest : public RegionFixture {};

TEST_F(MappedRegionTest, ALivingProcessIsToldFromADeadOne) {
  MakeRegion();
  StartProcess(1000);
  MappedRegion region = Mapped();
  ASSERT_EQ(region.Look().processes.size(), 1u);
  EXPECT_EQ(region.LifeOf(region.Look().processes[0]), ProcessLife::kAlive);
  EndProcess();
  EXPECT_EQ(region.LifeOf(region.Look().processes[0]), ProcessLife::kDead);
}

// design.md decision 12: a lock alone declares living processes dead.
TEST_F(MappedRegionTest, AProcessThatLostItsLockLives) {
  MakeRegion();
  limiter::region::Attachment own;
  ASSERT_TRUE(own.Join());
  for (int fd = 500; fd < 600; ++fd) close(fd);
  MappedRegion region = Mapped();
  EXPECT_EQ(region.LifeOf(region.Look().processes[0]), ProcessLife::kLockLost);
  EXPECT_TRUE(region.Clean().slots.empty());
}

TEST_F(MappedRegionTest, CleaningGivesBackWhatTheDeadHeldAndNothingElse) {
  MakeRegion();
  limiter::region::Attachment own;
  ASSERT_TRUE(own.Join());
  ASSERT_TRUE(limiter::region::Account<>::Begin(own.words(0), 7, 0));
  limiter::region::Account<>::Commit(own.words(0), HAMI_KIND_DATA, 7, 7);
  StartProcess(1000);
  MappedRegion region = Mapped();
  EXPECT_TRUE(region.Clean().slots.empty());
  EXPECT_EQ(region.Look().cards[0].used, Bytes{1007});
  EndProcess();
  const auto cleaned = region.Clean();
  EXPECT_EQ(cleaned.slots, std::vector<int>{1});
  EXPECT_EQ(cleaned.totals, std::vector<size_t>{0});
  EXPECT_EQ(region.Look().cards[0].used, Bytes{7});
  EXPECT_EQ(region.Look().processes.size(), 1u);
  EXPECT_EQ(region.Look().counters.reaped, 1u);
}

TEST_F(MappedRegionTest, AResizeHoldsForARunningProcessAtOnce) {
  MakeRegion();
  limiter::region::Attachment own;
  ASSERT_TRUE(own.Join());
  EXPECT_EQ(own.limits().Memory(0), 3000u);
  MappedRegion region = Mapped();
  ASSERT_TRUE(region.Change(0, {.memory = Bytes{9000}, .cores = Percent{50}}));
  EXPECT_EQ(own.limits().Memory(0), 9000u);
  EXPECT_EQ(own.region().v1.sm_limit[0], 50u);
  EXPECT_EQ(own.region().ext.header.limits_seq, 2u);
  EXPECT_EQ(own.region().ext.header.limits_wake, 1u);
  ASSERT_TRUE(region.Change(0, {.memory = Bytes{100}}));
  EXPECT_EQ(own.limits().Memory(0), 100u);
  EXPECT_EQ(own.region().v1.sm_limit[0], 50u);
  EXPECT_EQ(region.Look().limits_changed, 2u);
  EXPECT_EQ(region.Look().cards[0].initial_limit, Bytes{3000});
}

TEST_F(MappedRegionTest, TwoResizesExcludeEachOtherAndADeadWriterBlocksNobody) {
  MakeRegion();
  Poke(2009088 + 128, uint64_t{5});  // died half-way
  MappedRegion region = Mapped();
  {
    const auto other = File::Open(path_, true);
    ASSERT_TRUE(limiter::region::TryLockRange(other->fd(), HAMI_LOCK_LIMITS, 1));
    EXPECT_EQ(region.Change(0, {.memory = Bytes{1}}).error().code, Code::kConflict);
  }
  ASSERT_TRUE(region.Change(0, {.memory = Bytes{1}}));
  EXPECT_EQ(region.words().ext.header.limits_seq, 6u);
}

TEST_F(MappedRegionTest, FilesOfReferencesAreResizedToo) {
  std::ofstream(path_, std::ios::binary) << ReferenceFile();
  ASSERT_TRUE(Mapped().Change(0, {.memory = Bytes{5}, .cores = Percent{6}}));
  EXPECT_EQ(Read(path_)->cards[0].limit, Bytes{5});
  EXPECT_EQ(Read(path_)->cards[0].cores, Percent{6});
  std::ofstream(path_, std::ios::binary) << AncientFile();
  ASSERT_TRUE(Mapped().Change(0, {.memory = Bytes{8}}));
  EXPECT_EQ(Read(path_)->cards[0].limit, Bytes{8});
  EXPECT_EQ(Read(path_)->cards[0].cores, Percent{55});
}

TEST_F(MappedRegionTest, SuspendingMarksLivingProcessesOnly) {
  MakeRegion();
  StartProcess(1);
  MappedRegion region = Mapped();
  const uint32_t wake = region.words().ext.header.limits_wake;
  EXPECT_EQ(region.Suspend(true), 1);
  // COMPLAINT: without it nobody was suspended in a container without a core limit.
  EXPECT_EQ(region.words().ext.header.limits_wake, wake + 1);
  EXPECT_TRUE(region.Look().processes[0].suspended);
  EXPECT_EQ(region.Suspend(false), 1);
  EXPECT_FALSE(region.Look().processes[0].suspended);
}

// COMPLAINT: a file that was cut short passed for one of version 0, and was written to.
TEST_F(MappedRegionTest, AFileThatWasCutShortIsNotChanged) {
  for (const off_t size : {HAMI_V0_SIZE + 0, 1'500'000, 3'000'000}) {
    MakeRegion();
    ASSERT_EQ(truncate(path_.c_str(), size), 0);
    const auto region = MappedRegion::Open(path_, true);
    ASSERT_FALSE(region) << size;
    EXPECT_NE(region.error().message.find("cut short"), std::string::npos)
        << region.error().message;
    unlink(path_.c_str());
  }
}

TEST_F(MappedRegionTest, AReadOnlyLookNeedsNoRightToWrite) {
  MakeRegion();
  const auto region = MappedRegion::Open(path_, false);
  ASSERT_TRUE(region);
  EXPECT_TRUE(region->known_block());
  EXPECT_EQ(region->Look().cards.size(), 2u);
}

}  // namespace
}  // namespace hami::region
