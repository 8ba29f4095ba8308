#include "limiter/region/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "limiter/region/lock.h"

namespace hami::limiter::region {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-region-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/r.cache";
    creation_.memory_limit[0] = 3000 * kMi;
    creation_.sm_percent.fill(30);
    creation_.priority = 0;
  }
  void TearDown() override {
    unlink(path_.c_str());
    unlink((folder_ + "/link").c_str());
    rmdir(folder_.c_str());
  }
  Opened Open() {
    Opened opened = OpenRegion(path_.c_str(), creation_);
    if (opened.lock_fd >= 0) fds_.push_back(opened.lock_fd);
    return opened;
  }
  ~FileTest() override {
    for (int fd : fds_) close(fd);
  }
  // The file's bytes as somebody who knows only offsets reads them.
  std::vector<uint8_t> Bytes() {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

  std::string folder_, path_;
  Creation creation_;
  std::vector<int> fds_;
};

template <class T>
T At(const std::vector<uint8_t>& bytes, size_t offset) {
  T value;
  memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}
template <class T>
void Put(std::vector<uint8_t>& bytes, size_t offset, T value) {
  memcpy(bytes.data() + offset, &value, sizeof value);
}

// The offsets below are written out from spec A4, not taken from abi/.
TEST_F(FileTest, AReaderOfVersion1SeesANewRegion) {
  ASSERT_EQ(Open().error, 0);
  const auto bytes = Bytes();
  ASSERT_EQ(bytes.size(), 4194304u);
  EXPECT_EQ(At<int32_t>(bytes, 0), 19920718);
  EXPECT_EQ(At<uint32_t>(bytes, 4), 1u);
  EXPECT_EQ(At<uint32_t>(bytes, 8), 2u);
  EXPECT_EQ(At<uint64_t>(bytes, 16), 0u);
  EXPECT_EQ(At<uint32_t>(bytes, 24), 1u);    // sem_t of glibc: value
  EXPECT_EQ(At<uint32_t>(bytes, 32), 128u);  // and shared flag
  EXPECT_EQ(At<uint64_t>(bytes, 1600), 3000 * kMi);
  EXPECT_EQ(At<uint64_t>(bytes, 1608), 0u);
  EXPECT_EQ(At<uint64_t>(bytes, 1728), 30u);
  EXPECT_EQ(At<int32_t>(bytes, 2008896), 0);
  EXPECT_EQ(At<int32_t>(bytes, 2008900), 1);
  EXPECT_EQ(At<int32_t>(bytes, 2008904), 2);
  EXPECT_EQ(At<int32_t>(bytes, 2008908), 0);
  EXPECT_EQ(At<uint32_t>(bytes, 2008920), 1u);
  EXPECT_EQ(At<uint32_t>(bytes, 2008928), 128u);
  EXPECT_EQ(std::string(bytes.begin() + 2009088, bytes.begin() + 2009096), "HAMICPP1");
  EXPECT_EQ(At<uint64_t>(bytes, 2009088 + 512 + 72), 3000 * kMi);  // initial limit of device 0
}

TEST_F(FileTest, TheFirstCreatorsLimitsStay) {
  ASSERT_EQ(Open().error, 0);
  creation_.memory_limit[0] = 2000 * kMi;
  const Opened second = Open();
  ASSERT_EQ(second.error, 0);
  EXPECT_EQ(second.region->v1.limit[0], 3000 * kMi);
}

// Spec D2.12: a file that a reference made (2 008 953 bytes) is extended and keeps what it says.
TEST_F(FileTest, AReferencesFileIsExtendedAndStaysUsableForIt) {
  std::vector<uint8_t> v1(2008953);
  Put<int32_t>(v1, 0, 19920718);
  Put<uint32_t>(v1, 4, 1);
  Put<uint32_t>(v1, 8, 2);
  Put<uint32_t>(v1, 24, 1);
  Put<uint32_t>(v1, 32, 128);
  Put<uint64_t>(v1, 56, 1);
  memcpy(v1.data() + 64, "GPU-11111111-2222-3333-4444-555555555555", 40);
  Put<uint64_t>(v1, 1600, uint64_t{777} * kMi);
  Put<uint64_t>(v1, 1728, uint64_t{45});
  Put<int32_t>(v1, 1856 + 0, getpid());  // a living process
  Put<int32_t>(v1, 1856 + 1928, 1);
  Put<uint64_t>(v1, 1856 + 8 + 32, uint64_t{5} * kMi);
  Put<int32_t>(v1, 1856 + 1960, 0x7ffffff0);  // one that ended
  Put<int32_t>(v1, 1856 + 1960 + 1928, 1);
  Put<int32_t>(v1, 2008896, 2);
  Put<int32_t>(v1, 2008900, 0);
  Put<int32_t>(v1, 2008904, -1);
  std::ofstream(path_, std::ios::binary).write(reinterpret_cast<char*>(v1.data()), 2008953);

  const Opened opened = Open();
  ASSERT_EQ(opened.error, 0);
  EXPECT_TRUE(HasKnownBlock(*opened.region));
  EXPECT_EQ(opened.region->ext.header.devices[0].initial_limit, 777 * kMi);
  const auto bytes = Bytes();
  ASSERT_EQ(bytes.size(), 4194304u);
  // Nothing of the prefix has changed but the slot of the process that has ended.
  for (size_t i = 0; i < v1.size(); ++i) {
    const bool ended_slot = i >= 1856 + 1960 && i < 1856 + 2 * 1960;
    ASSERT_EQ(bytes[i], ended_slot ? 0 : v1[i]) << "offset " << i;
  }
}

TEST_F(FileTest, SomebodyElsesFileIsLeftAlone) {
  std::ofstream(path_) << "not a region, but of some use to its owner\n";
  EXPECT_EQ(Open().error, -EINVAL);
  EXPECT_EQ(Bytes().size(), 43u);
}

TEST_F(FileTest, AnotherMajorVersionIsNotTouched) {
  std::vector<uint8_t> v0(1197896);
  Put<int32_t>(v0, 0, 19920718);
  std::ofstream(path_, std::ios::binary).write(reinterpret_cast<char*>(v0.data()), 1197896);
  EXPECT_EQ(Open().error, -EINVAL);
  EXPECT_EQ(Bytes().size(), 1197896u);
}

TEST_F(FileTest, SymbolicLinksAreRefused) {
  ASSERT_EQ(symlink(path_.c_str(), (folder_ + "/link").c_str()), 0);
  path_ = folder_ + "/link";
  EXPECT_EQ(Open().error, -ELOOP);
}

TEST_F(FileTest, EveryUserMayWriteWhateverTheUmaskIsAndItStays) {
  const mode_t before = umask(0077);
  ASSERT_EQ(Open().error, 0);
  EXPECT_EQ(umask(before), 0077u);  // TRAP of A4: the reference leaves it at 0
  struct stat status;
  ASSERT_EQ(stat(path_.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666u);
}

TEST_F(FileTest, TheLocksDescriptorKeepsOutOfTheWay) {
  const Opened opened = Open();
  EXPECT_GE(opened.lock_fd, 500);
  EXPECT_EQ(fcntl(opened.lock_fd, F_GETFD), FD_CLOEXEC);
  const int next = dup(0);
  EXPECT_LT(next, 500);
  close(next);
}

// Spec D2.11: a full disk is an error at once, not a SIGBUS at the first write.
TEST_F(FileTest, NoSpaceIsReportedWhenTheFileIsMade) {
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    rlimit small{1 << 20, 1 << 20};
    setrlimit(RLIMIT_FSIZE, &small);
    _exit(OpenRegion(path_.c_str(), creation_).error == -EFBIG ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

// Creators of this library by an OFD lock, and a reference by lockf.
TEST_F(FileTest, CreatorsWaitForOneAnother) {
  for (const bool reference : {false, true}) {
    unlink(path_.c_str());
    std::ofstream(path_).flush();
    const int other = open(path_.c_str(), O_RDWR | O_CLOEXEC);
    ASSERT_TRUE(reference ? lockf(other, F_TLOCK, HAMI_V1_SIZE) == 0
                          : TryLockRange(other, 0, HAMI_V1_SIZE));
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    const pid_t child = fork();
    if (child == 0) {
      close(other);
      const char go = 1;
      if (write(ready[1], &go, 1) != 1) _exit(2);
      _exit(OpenRegion(path_.c_str(), creation_).error == 0 ? 0 : 1);
    }
    char go = 0;
    ASSERT_EQ(read(ready[0], &go, 1), 1);
    EXPECT_EQ(waitpid(child, nullptr, WNOHANG), 0);
    struct stat status;
    ASSERT_EQ(fstat(other, &status), 0);  // not by name: any close would end lockf's lock
    EXPECT_EQ(status.st_size, 0);
    close(other);
    int ended = 0;
    waitpid(child, &ended, 0);
    EXPECT_EQ(ended, 0);
    EXPECT_EQ(Bytes().size(), 4194304u);
    for (int fd : {ready[0], ready[1]}) close(fd);
  }
}

}  // namespace
}  // namespace hami::limiter::region
