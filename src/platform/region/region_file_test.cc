#include "platform/region/region_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fs.h"

namespace hami::region {
namespace {

class RegionFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-region-file-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/r.cache";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static NewRegion TwoCards() {
    return {.cards = {{"GPU-a", Bytes{3000ll << 20}, Bytes{0}, Percent{30}},
                      {"GPU-b", Bytes{0}, Bytes{5}, Percent{100}}},
            .priority = 0,
            .unix_seconds = 1'800'000'000};
  }
  template <class T>
  static void Put(std::string& bytes, size_t offset, T value) {
    memcpy(bytes.data() + offset, &value, sizeof value);
  }

  std::string folder_, path_;
};

TEST_F(RegionFileTest, WhatIsMadeIsRead) {
  ASSERT_TRUE(Create(path_, TwoCards()));
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  EXPECT_TRUE(snapshot->own_block);
  EXPECT_EQ(snapshot->priority, 0);
  ASSERT_EQ(snapshot->cards.size(), 2u);
  EXPECT_EQ(snapshot->cards[0].uuid, "GPU-a");
  EXPECT_EQ(snapshot->cards[0].limit, Bytes{3000ll << 20});
  EXPECT_EQ(snapshot->cards[0].cores, Percent{30});
  EXPECT_EQ(snapshot->cards[1].limit, Bytes{0});
  EXPECT_TRUE(snapshot->processes.empty());
}

TEST_F(RegionFileTest, EveryUserOfTheContainerMayWriteIt) {
  ASSERT_TRUE(Create(path_, TwoCards()));
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666u);
  EXPECT_EQ(status.st_size, 4194304);
}

TEST_F(RegionFileTest, ARegionInUseIsNotMadeAnew) {
  ASSERT_TRUE(Create(path_, TwoCards()));
  NewRegion other = TwoCards();
  other.cards[0].memory = Bytes{1};
  ASSERT_TRUE(Create(path_, other));
  EXPECT_EQ(Read(path_)->cards[0].limit, Bytes{3000ll << 20});
}

TEST_F(RegionFileTest, TooManyCardsAreRefused) {
  NewRegion many;
  many.cards.resize(17);
  const auto result = Create(path_, many);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kInvalidArgument);
}

// Offsets of spec A4, written out: a file as a reference's library makes it.
TEST_F(RegionFileTest, AReferencesFileIsRead) {
  std::string v1(2008953, '\0');
  Put<int32_t>(v1, 0, 19920718);
  Put<uint32_t>(v1, 4, 1);
  Put<uint32_t>(v1, 8, 2);
  Put<uint64_t>(v1, 56, 1);
  memcpy(v1.data() + 64, "GPU-x", 5);
  Put<uint64_t>(v1, 1600, 777);
  Put<uint64_t>(v1, 1728, 45);
  Put<int32_t>(v1, 1856 + 1960, 4242);
  Put<int32_t>(v1, 1856 + 1960 + 4, 99);
  Put<uint64_t>(v1, 1856 + 1960 + 8, 100);       // context
  Put<uint64_t>(v1, 1856 + 1960 + 8 + 16, 400);  // data
  Put<int32_t>(v1, 1856 + 1960 + 1928, 1);
  Put<int32_t>(v1, 2008896, 2);
  Put<int32_t>(v1, 2008908, 1);
  std::ofstream(path_, std::ios::binary) << v1;
  const auto snapshot = Read(path_);
  ASSERT_TRUE(snapshot);
  EXPECT_FALSE(snapshot->own_block);
  ASSERT_EQ(snapshot->processes.size(), 1u);
  EXPECT_EQ(snapshot->processes[0].slot, 1);
  EXPECT_EQ(snapshot->processes[0].pid, 4242);
  EXPECT_EQ(snapshot->processes[0].host_pid, 99);
  EXPECT_EQ(snapshot->cards[0].used, Bytes{500});
  EXPECT_EQ(snapshot->cards[0].limit, Bytes{777});
}

TEST_F(RegionFileTest, OtherFilesAreRefused) {
  EXPECT_EQ(Read(path_).error().code, Code::kNotFound);
  std::ofstream(path_) << "something else";
  EXPECT_EQ(Read(path_).error().code, Code::kDataLoss);
}

}  // namespace
}  // namespace hami::region
