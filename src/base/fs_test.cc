#include "base/fs.h"

#include <gtest/gtest.h>
#include <stdlib.h>

namespace hami {
namespace {

class FsTest : public testing::Test {
 protected:
  FsTest() {
    std::string pattern = testing::TempDir() + "/fs_testXXXXXX";
    dir_ = mkdtemp(pattern.data());
  }
  ~FsTest() override { (void)RealFileSystem().RemoveTree(dir_); }
  std::string dir_;
  FileSystem& fs_ = RealFileSystem();
};

TEST_F(FsTest, AtomicWriteReplacesTheInodeAndSetsTheMode) {
  std::string path = dir_ + "/a";
  ASSERT_TRUE(fs_.WriteAtomic(path, "one", 0644));
  ino_t first = fs_.Stat(path)->st_ino;
  FILE* held = fopen(path.c_str(), "r");
  ASSERT_TRUE(fs_.WriteAtomic(path, "two", 0600));
  EXPECT_NE(fs_.Stat(path)->st_ino, first);
  EXPECT_EQ(fs_.Stat(path)->st_mode & 0777, 0600u);
  EXPECT_EQ(*fs_.Read(path), "two");
  char old[4] = {};
  EXPECT_EQ(fread(old, 1, 3, held), 3u);
  EXPECT_STREQ(old, "one");  // whoever had it open keeps the old content
  fclose(held);
  EXPECT_EQ(fs_.List(dir_)->size(), 1u);  // no temporary file stays
}

TEST_F(FsTest, FailedWriteLeavesNothingBehind) {
  ASSERT_TRUE(fs_.MakeDirs(dir_ + "/d/sub", 0755));
  EXPECT_FALSE(fs_.WriteAtomic(dir_ + "/d", "x", 0644));  // a folder is in the way
  EXPECT_EQ(fs_.List(dir_)->size(), 1u);
}

TEST_F(FsTest, ErrorsNamePathAndKind) {
  auto missing = fs_.Read(dir_ + "/none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  EXPECT_NE(missing.error().message.find("/none"), std::string::npos);
  EXPECT_TRUE(fs_.Remove(dir_ + "/none"));
  EXPECT_EQ(ErrnoError("write", "/x", ENOSPC).code, Code::kResourceExhausted);
}

TEST_F(FsTest, MakeDirsIgnoresTheUmask) {
  ASSERT_TRUE(fs_.MakeDirs(dir_ + "/w", 01777));
  EXPECT_EQ(fs_.Stat(dir_ + "/w")->st_mode & 07777, 01777u);
}

}  // namespace
}  // namespace hami
