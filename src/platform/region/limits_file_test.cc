#include "platform/region/limits_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/fs.h"
#include "limiter/region/lock.h"
#include "platform/region/open_file.h"

namespace hami::region {
namespace {

class LimitsFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-limits-file-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/limits.ro";
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  static LimitsPage OneCard() {
    return {.generation = 2,
            .priority = 0,
            .policy = CorePolicy::kForce,
            .allow_disable_control = true,
            .oversubscribe = true,
            .region_path = "/usr/local/vgpu/u.cache",
            .cards = {{"GPU-a", Bytes{3000}, Bytes{3000}, Percent{30}, Percent{30}, Bytes{1500}}}};
  }
  void Poke(size_t offset, uint64_t value) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
  }

  std::string folder_, path_;
};

// Offsets of docs/formats/region.md, written out.
TEST_F(LimitsFileTest, EveryFieldStandsWhereTheFormatSays) {
  const auto bytes = EncodeLimits(OneCard());
  ASSERT_TRUE(bytes);
  ASSERT_EQ(bytes->size(), 4096u);
  const auto word = [&](size_t offset) {
    uint64_t value = 0;
    memcpy(&value, bytes->data() + offset, sizeof value);
    return value;
  };
  const auto half = [&](size_t offset) { return word(offset) & 0xffffffff; };
  EXPECT_EQ(bytes->substr(0, 8), "HAMILIM1");
  EXPECT_EQ(half(8), 1u);
  EXPECT_EQ(half(12), 4096u);
  EXPECT_EQ(word(16), 2u);
  EXPECT_EQ(half(24), 1u);
  EXPECT_EQ(half(28), 0u);
  EXPECT_EQ(half(32), 1u);
  EXPECT_EQ(half(36), 3u);
  EXPECT_STREQ(bytes->data() + 64, "/usr/local/vgpu/u.cache");
  EXPECT_STREQ(bytes->data() + 512, "GPU-a");
  EXPECT_EQ(word(512 + 96), 3000u);
  EXPECT_EQ(word(512 + 104), 3000u);
  EXPECT_EQ(half(512 + 112), 30u);
  EXPECT_EQ(half(512 + 116), 30u);
  EXPECT_EQ(word(512 + 120), 1500u);
}

TEST_F(LimitsFileTest, AChangeIsMadeInPlaceAndLeavesTheInitialLimit) {
  ASSERT_TRUE(CreateLimits(path_, OneCard()));
  const auto before = RealFileSystem().Stat(path_);
  ASSERT_TRUE(ChangeLimits(path_, "GPU-a", {.memory = Bytes{5000}, .cores = Percent{60}}));
  const auto page = ReadLimits(path_);
  ASSERT_TRUE(page);
  EXPECT_EQ(page->generation, 4u);
  EXPECT_EQ(page->cards[0].memory, Bytes{5000});
  EXPECT_EQ(page->cards[0].initial_memory, Bytes{3000});
  EXPECT_EQ(page->cards[0].cores, Percent{60});
  EXPECT_EQ(page->cards[0].initial_cores, Percent{30});
  EXPECT_EQ(page->cards[0].physical_share, Bytes{1500});
  EXPECT_EQ(page->region_path, "/usr/local/vgpu/u.cache");
  EXPECT_TRUE(page->oversubscribe);
  EXPECT_EQ(RealFileSystem().Stat(path_)->st_ino, before->st_ino);
}

TEST_F(LimitsFileTest, AWriterThatDiedHalfWayIsFollowedByAWholeGeneration) {
  ASSERT_TRUE(CreateLimits(path_, OneCard()));
  Poke(16, 7);
  ASSERT_TRUE(ChangeLimits(path_, "GPU-a", {.memory = Bytes{1}}));
  EXPECT_EQ(ReadLimits(path_)->generation, 8u);
}

TEST_F(LimitsFileTest, TwoWritersExcludeEachOther) {
  ASSERT_TRUE(CreateLimits(path_, OneCard()));
  const auto other = File::Open(path_, true);
  ASSERT_TRUE(limiter::region::TryLockRange(other->fd(), 0, 1));
  EXPECT_EQ(ChangeLimits(path_, "GPU-a", {.memory = Bytes{1}}).error().code, Code::kConflict);
  EXPECT_EQ(ReadLimits(path_)->cards[0].memory, Bytes{3000});
}

TEST_F(LimitsFileTest, WhatIsNoPageOrNoCardOfItIsRefusedByName) {
  EXPECT_EQ(ReadLimits(path_).error().code, Code::kNotFound);
  std::ofstream(path_) << "short";
  EXPECT_EQ(ReadLimits(path_).error().code, Code::kDataLoss);
  ASSERT_TRUE(CreateLimits(path_, OneCard()));
  const auto other = ChangeLimits(path_, "GPU-b", {.memory = Bytes{1}});
  EXPECT_EQ(other.error().code, Code::kNotFound);
  EXPECT_NE(other.error().message.find("GPU-b"), std::string::npos);
  Poke(8, 9);
  EXPECT_EQ(ReadLimits(path_).error().code, Code::kDataLoss);
  EXPECT_EQ(ReadLimits(path_).error().message.find(path_), 0u);
  LimitsPage many = OneCard();
  many.cards.resize(17);
  EXPECT_EQ(EncodeLimits(many).error().code, Code::kInvalidArgument);
}

// The container's user owns the folder of the region; a tool that runs as root must not follow him.
TEST_F(LimitsFileTest, LinksAndPipesAreNotFollowed) {
  symlink("/etc/hostname", path_.c_str());
  EXPECT_EQ(ReadLimits(path_).error().code, Code::kFailedPrecondition);
  unlink(path_.c_str());
  ASSERT_EQ(mkfifo(path_.c_str(), 0600), 0);
  EXPECT_EQ(ReadLimits(path_).error().code, Code::kFailedPrecondition);
}

}  // namespace
}  // namespace hami::region
