// Spec C8, D2.11, D2.12: whatever lies where the region should be, a program runs with its limit:
// no crash, no hang, at most one line.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "abi/region_init.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class HardnessTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 512 * kMi;

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "mounts need root";
    std::filesystem::create_directory(folder_);
    std::ofstream(container_.folder() + "/default");
    if (access("/tmp/cudevshr.cache", F_OK) != 0) std::ofstream("/tmp/cudevshr.cache");
  }
  // In a mount namespace where the default region is this test's own.
  std::unique_ptr<Probe> Start(const std::string& more_mounts = "", Variables more = {}) {
    more.insert({"CUDA_DEVICE_MEMORY_SHARED_CACHE", path_});
    more["PROBE_MOUNTS"] =
        "bind:" + container_.folder() + "/default:/tmp/cudevshr.cache;" + more_mounts;
    auto probe = container_.Start(more);
    probe->Begin();
    return probe;
  }
  void ExpectLimited(Probe& probe) {
    EXPECT_EQ(probe.Value("total 0"), kLimit);
    EXPECT_EQ(probe.Code("alloc " + Text(kLimit - kContext + 1)), 2);
    const uint64_t all = probe.Value("alloc " + Text(kLimit - kContext));
    EXPECT_EQ(probe.Code("free " + Text(all)), 0);
    EXPECT_LE(container_.CardPeak(0), kLimit);
  }
  // Lines but for the refusals.
  static int64_t Lines(const Probe& probe) {
    std::string said = probe.Errors();
    int64_t lines = std::count(said.begin(), said.end(), '\n');
    for (size_t at = 0; (at = said.find(" OOM ", at)) != std::string::npos; ++at) --lines;
    return lines;
  }
  // The program falls back to the default region, says so, and shares it with the next one.
  void ExpectFallback(const std::string& mounts = "") {
    auto probe = Start(mounts);
    ExpectLimited(*probe);
    EXPECT_EQ(Lines(*probe), 1) << probe->Errors();
    EXPECT_NE(probe->Errors().find("cannot use shared region " + path_), std::string::npos);
    EXPECT_NE(probe->Errors().find("; using /tmp/cudevshr.cache"), std::string::npos)
        << probe->Errors();
    auto second = Start(mounts);
    EXPECT_EQ(second->Ask("info").substr(0, 4), "0 0 ");
  }
  void ExpectUsed() {
    auto probe = Start();
    ExpectLimited(*probe);
    EXPECT_EQ(Lines(*probe), 0) << probe->Errors();
    EXPECT_EQ(std::filesystem::file_size(path_), uintmax_t{HAMI_REGION_FILE_SIZE});
  }
  void Write(const std::string& bytes) { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string Content() {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static std::string NewRegion() {
    std::string bytes(HAMI_REGION_FILE_SIZE, '\0');
    HamiRegionSeed seed = {};
    seed.memory_limit[0] = kLimit;
    auto& region = *reinterpret_cast<HamiRegion*>(bytes.data());
    HamiInitRegion(&region, &seed);
    region.v1.initialized_flag = HAMI_V1_MAGIC;
    return bytes;
  }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "512m"}}};
  const std::string folder_ = container_.folder() + "/files";
  const std::string path_ = folder_ + "/r.cache";
};

TEST_F(HardnessTest, AMissingFolder) {
  std::filesystem::remove(folder_);
  ExpectFallback();
}

TEST_F(HardnessTest, AReadOnlyFolderWithAndWithoutTheFile) {
  ExpectFallback("ro:" + folder_ + ";");
  Write(NewRegion());
  auto probe = Start("ro:" + folder_ + ";");
  EXPECT_EQ(Lines(*probe), 1) << probe->Errors();
}

TEST_F(HardnessTest, NothingIsWritableAtAll) {
  auto probe = Start("ro:" + folder_ + ";ro:/tmp/cudevshr.cache;");
  ExpectLimited(*probe);  // memory of its own
  EXPECT_EQ(Lines(*probe), 1) << probe->Errors();
}

// The reference's file is sparse: its writer dies of SIGBUS when the disk is full.
TEST_F(HardnessTest, AFullDisk) { ExpectFallback("tmpfs:1m:" + folder_ + ";"); }

TEST_F(HardnessTest, AFullDiskInBothPlaces) {
  auto probe =
      Start("tmpfs:1m:" + folder_ + ";copy:" + container_.folder() + "/default:" + folder_ +
            "/default;bind:" + folder_ + "/default:/tmp/cudevshr.cache;");
  ExpectLimited(*probe);  // memory of its own
  EXPECT_EQ(Lines(*probe), 1) << probe->Errors();
}

TEST_F(HardnessTest, AReferencesFileThatTheDiskHasNoRoomToExtend) {
  std::ofstream(container_.folder() + "/old", std::ios::binary)
      << NewRegion().substr(0, HAMI_V1_FILE_SIZE);
  ExpectFallback("tmpfs:3m:" + folder_ + ";copy:" + container_.folder() + "/old:" + path_ + ";");
}

// Space is taken up front: less than 1 MiB is left of this disk, and what comes later needs none.
TEST_F(HardnessTest, ADiskThatFillsUpLater) {
  auto probe = container_.Start({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", path_},
                                 {"PROBE_MOUNTS", "tmpfs:4500k:" + folder_ + ";"}});
  EXPECT_EQ(probe->Code("nvmlinit"), 0);  // makes the region, and takes no slot
  EXPECT_EQ(probe->Ask("fill " + folder_ + "/rest"), "0");
  probe->Begin();
  ExpectLimited(*probe);
  EXPECT_EQ(Lines(*probe), 0) << probe->Errors();
}

// Spec C2: whoever cannot use the block uses the prefix, if only to read.
TEST_F(HardnessTest, ALimitThatOnlyAnUnusableFileStatesHolds) {
  const Variables none = {{"CUDA_DEVICE_MEMORY_LIMIT_0", ""}};
  Write(NewRegion());
  ExpectLimited(*Start("ro:" + folder_ + ";", none));
  std::string future = NewRegion();
  future[HAMI_EXT_OFFSET + 8] = 2;
  Write(future);
  ExpectLimited(*Start("", none));
  EXPECT_EQ(Content(), future);
}

TEST_F(HardnessTest, AFolderALinkAndAPipeInThePlaceOfTheFile) {
  std::filesystem::create_directory(path_);
  ExpectFallback();
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(container_.folder() + "/elsewhere", path_);
  EXPECT_EQ(Lines(*Start()), 1);
  EXPECT_FALSE(std::filesystem::exists(container_.folder() + "/elsewhere"));
  std::filesystem::remove(path_);
  ASSERT_EQ(mkfifo(path_.c_str(), 0666), 0);
  EXPECT_EQ(Lines(*Start()), 1);
}

TEST_F(HardnessTest, OtherContentIsLeftAlone) {
  const std::string text = "somebody's notes\n" + std::string(5 << 20, 'x');
  Write(text);
  ExpectFallback();
  EXPECT_EQ(Content(), text);
}

TEST_F(HardnessTest, AFileCutShort) {
  Write(NewRegion().substr(0, 1 << 20));
  ExpectFallback();
}

TEST_F(HardnessTest, AShortFileOfZerosIsOneThatNobodyFinished) {
  Write(std::string(1 << 20, '\0'));
  ExpectUsed();
}

TEST_F(HardnessTest, ACreatorThatDiedHalfWay) {
  std::string bytes = NewRegion();
  memset(bytes.data(), 0, 4);         // no magic yet
  memset(bytes.data() + 1600, 7, 8);  // a limit that nobody may trust
  Write(bytes);
  ExpectUsed();
}

TEST_F(HardnessTest, AReferencesFileIsExtendedAndItsLimitHolds) {
  std::string bytes = NewRegion().substr(0, HAMI_V1_FILE_SIZE);
  const uint64_t limit = kLimit;
  memcpy(bytes.data() + 1600, &limit, sizeof limit);
  Write(bytes);
  ExpectUsed();
}

TEST_F(HardnessTest, ANewerMinorVersionIsUsedAndLeftAsItIs) {
  std::string bytes = NewRegion();
  bytes[HAMI_EXT_OFFSET + 10] = 9;
  bytes[HAMI_EXT_OFFSET + 16] = 0x40;  // a feature that this build does not know
  Write(bytes);
  ExpectUsed();
  EXPECT_EQ(Content()[HAMI_EXT_OFFSET + 10], 9);
  EXPECT_NE(Content()[HAMI_EXT_OFFSET + 16] & 0x40, 0);
}

TEST_F(HardnessTest, AGeometryOrMajorVersionOfTheFutureIsLeftAlone) {
  for (const size_t word : {size_t{8}, size_t{68}, size_t{80}}) {  // major, strides
    std::string bytes = NewRegion();
    bytes[HAMI_EXT_OFFSET + word] = static_cast<char>(bytes[HAMI_EXT_OFFSET + word] + 1);
    Write(bytes);
    auto probe = Start();
    ExpectLimited(*probe);
    EXPECT_EQ(Lines(*probe), 1) << probe->Errors();
    EXPECT_EQ(Content(), bytes);
    probe.reset();
  }
}

// A user who puts another file in the region's place changes nothing for who runs, and who comes
// after him keeps the limit.
TEST_F(HardnessTest, AFileReplacedByAnotherUnderARunningProgram) {
  auto running = Start();
  const uint64_t held = running->Value("alloc " + Text(100 * kMi));
  std::ofstream(path_ + ".new", std::ios::binary) << NewRegion();
  std::filesystem::rename(path_ + ".new", path_);
  EXPECT_EQ(running->Code("alloc " + Text(200 * kMi)), 2);
  EXPECT_EQ(running->Ask("closeregion"), "0");  // and loses its lock on the old one
  EXPECT_EQ(running->Code("alloc " + Text(200 * kMi)), 2);
  EXPECT_EQ(running->Code("free " + Text(held)), 0);
  auto newcomer = Start();
  EXPECT_EQ(newcomer->Value("total 0"), kLimit);
  EXPECT_EQ(container_.Start({{"CUDA_DEVICE_MEMORY_SHARED_CACHE", path_}})->Code("init"), 0);
  EXPECT_EQ(Lines(*running), 0) << running->Errors();
}

}  // namespace
}  // namespace hami::limiter::testing
