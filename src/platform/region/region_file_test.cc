#include "platform/region/region_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "base/fs.h"
#include "platform/region/region_fixture.h"

namespace hami::region {
namespace {

class RegionFileTest : public RegionFixture {
 protected:
  void Write(std::string_view bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
};

TEST_F(RegionFileTest, WhatIsMadeIsRead) {
  MakeRegion();
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->layout, Layout::kOwn);
  EXPECT_EQ(snapshot->file_size, 4194304u);
  EXPECT_EQ(snapshot->own_major, 1u);
  EXPECT_EQ(snapshot->priority, 0);
  EXPECT_EQ(snapshot->last_kernel_time, 1'800'000'000);
  EXPECT_EQ(snapshot->boot_id.size(), 32u);
  ASSERT_EQ(snapshot->cards.size(), 2u);
  EXPECT_EQ(snapshot->cards[0].uuid, "GPU-a");
  EXPECT_EQ(snapshot->cards[0].limit, Bytes{3000});
  EXPECT_EQ(snapshot->cards[0].initial_limit, Bytes{3000});
  EXPECT_EQ(snapshot->cards[0].cores, Percent{30});
  EXPECT_EQ(snapshot->cards[1].limit, Bytes{0});
  EXPECT_EQ(snapshot->cards[1].physical_share, Bytes{5});
  EXPECT_TRUE(snapshot->processes.empty());
}

TEST_F(RegionFileTest, EveryUserOfTheContainerMayWriteIt) {
  MakeRegion();
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666u);
  EXPECT_EQ(status.st_size, 4194304);
}

TEST_F(RegionFileTest, ARegionInUseIsNotMadeAnew) {
  MakeRegion();
  ASSERT_TRUE(Create(path_, {.cards = {{"GPU-z", Bytes{1}, Bytes{0}, Percent{1}}}}));
  EXPECT_EQ(Read(path_)->cards[0].limit, Bytes{3000});
}

TEST_F(RegionFileTest, TooManyCardsAreRefused) {
  NewRegion many;
  many.cards.resize(17);
  EXPECT_EQ(Create(path_, many).error().code, Code::kInvalidArgument);
}

TEST_F(RegionFileTest, WhatAProcessHoldsIsShown) {
  MakeRegion();
  StartProcess(1000);
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->processes.size(), 1u);
  const ProcessUsage& process = snapshot->processes[0];
  EXPECT_TRUE(process.ours);
  EXPECT_EQ(process.pid, child_);
  EXPECT_NE(process.start_ticks, 0u);
  EXPECT_EQ(process.cards[0].data, Bytes{1000});
  EXPECT_EQ(process.cards[0].pending, Bytes{0});
  EXPECT_EQ(snapshot->cards[0].used, Bytes{1000});
}

TEST_F(RegionFileTest, AReferencesFileIsRead) {
  Write(ReferenceFile());
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->layout, Layout::kV1);
  EXPECT_EQ(snapshot->minor, 2u);
  ASSERT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->processes[0].slot, 1);
  EXPECT_EQ(snapshot->processes[0].pid, 4242);
  EXPECT_EQ(snapshot->processes[0].host_pid, 99);
  EXPECT_FALSE(snapshot->processes[0].ours);
  EXPECT_EQ(snapshot->cards[0].used, Bytes{500});
  EXPECT_EQ(snapshot->cards[0].limit, Bytes{777});
}

TEST_F(RegionFileTest, AFileFromBeforeVersionsIsRead) {
  Write(AncientFile());
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->layout, Layout::kV0);
  ASSERT_EQ(snapshot->cards.size(), 1u);
  EXPECT_EQ(snapshot->cards[0].uuid, "GPU-o");
  EXPECT_EQ(snapshot->cards[0].limit, Bytes{888});
  EXPECT_EQ(snapshot->cards[0].cores, Percent{55});
  EXPECT_EQ(snapshot->cards[0].used, Bytes{300});
  ASSERT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->processes[0].pid, 7);
  EXPECT_EQ(snapshot->priority, 0);
}

TEST_F(RegionFileTest, OtherFilesAreRefused) {
  EXPECT_EQ(Read(path_).error().code, Code::kNotFound);
  Write("something else");
  EXPECT_EQ(Read(path_).error().code, Code::kDataLoss);
  EXPECT_EQ(Read(path_).error().message.find("region " + path_), 0u);
  Write(ReferenceFile().substr(0, 1 << 20));
  EXPECT_EQ(Read(path_).error().code, Code::kDataLoss);
  std::string other_major = ReferenceFile();
  other_major[4] = 2;
  Write(other_major);
  EXPECT_EQ(Read(path_).error().code, Code::kDataLoss);
  unlink(path_.c_str());
  ASSERT_EQ(symlink("/etc/hostname", path_.c_str()), 0);
  EXPECT_EQ(Read(path_).error().code, Code::kFailedPrecondition);
}

// A newer build may enlarge the arrays and say so in the header.
TEST_F(RegionFileTest, LargerStridesOfANewerBuildAreFollowed) {
  MakeRegion();
  std::string bytes = *RealFileSystem().Read(path_);
  const auto put = [&bytes](size_t offset, auto value) {
    memcpy(bytes.data() + 2009088 + offset, &value, sizeof value);
  };
  put(10, uint16_t{7});                                  // minor
  put(68, uint32_t{512});                                // device stride
  put(64, uint32_t{65536});                              // devices
  put(76, uint32_t{131072});                             // slots
  put(80, uint32_t{1280});                               // slot stride
  put(65536 + 512, uint64_t{4711} | uint64_t{3} << 48);  // used_total of card 1
  put(131072 + 1280, uint32_t{2});                       // slot 1: live
  put(131072 + 1280 + 8, int32_t{321});
  memcpy(bytes.data() + 2008896, "\x02", 1);  // proc_num
  const auto snapshot = Decode(bytes);
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->own_minor, 7u);
  EXPECT_EQ(snapshot->cards[1].used, Bytes{4711});
  ASSERT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->processes[0].pid, 321);
}

// Found by the fuzzer: the sum of such figures overflowed.
TEST_F(RegionFileTest, FiguresThatNoCardHasCanBeAddedUp) {
  MakeRegion();
  std::string bytes = *RealFileSystem().Read(path_);
  HamiExtSlot slot;
  memset(&slot, 0xff, sizeof slot);
  slot.state = HAMI_SLOT_LIVE;
  for (size_t i = 0; i < HAMI_EXT_SLOTS; ++i) {
    memcpy(bytes.data() + HAMI_EXT_OFFSET + HAMI_EXT_SLOTS_OFFSET + i * sizeof slot, &slot,
           sizeof slot);
  }
  const int32_t count = HAMI_EXT_SLOTS;
  memcpy(bytes.data() + offsetof(HamiV1Region, proc_num), &count, sizeof count);
  const auto snapshot = Decode(bytes);
  ASSERT_TRUE(snapshot);
  ASSERT_EQ(snapshot->processes.size(), size_t{HAMI_EXT_SLOTS});
  int64_t sum = 0;
  for (const ProcessUsage& process : snapshot->processes) {
    const int64_t total = process.cards[0].Total().value;
    EXPECT_GT(total, 0);
    EXPECT_FALSE(__builtin_add_overflow(sum, total, &sum));
  }
}

// The file belongs to the container's user: whatever stands in it, reading it ends with an answer.
TEST_F(RegionFileTest, NoContentLeadsOutsideTheFile) {
  MakeRegion();
  const std::string good = *RealFileSystem().Read(path_);
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    std::string bytes = good;
    const size_t places[] = {8, 56, 64, 2008896, 2009088 + 8, 2009088 + 64, 2009088 + 80};
    for (const size_t place : places) {
      if (random() % 2 == 0) continue;
      for (size_t i = 0; i < 24; ++i) bytes[place + i] = static_cast<char>(random());
    }
    memcpy(bytes.data() + 4, "\x01\0\0", 4);
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    const auto snapshot = Decode(bytes);
    if (snapshot) {
      EXPECT_LE(snapshot->cards.size(), 16u);
      EXPECT_LE(snapshot->processes.size(), 1024u);
    }
  }
}

}  // namespace
}  // namespace hami::region
