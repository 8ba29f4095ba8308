// Spec D2.12: readers and writers of the version 1 region beside this library, files that a
// reference made, and two builds of the library on one file. Offsets are written out from spec A4,
// not taken from abi/.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

constexpr size_t kOldFile = 2008953;

// A reference's monitor: maps the file as long as it is and knows the prefix only.
class V1Program {
 public:
  explicit V1Program(const std::string& path) {
    fd_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
    struct stat status = {};
    fstat(fd_, &status);
    size_ = static_cast<size_t>(status.st_size);
    EXPECT_GE(size_, kOldFile);
    bytes_ = static_cast<char*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, 0));
    EXPECT_NE(bytes_, MAP_FAILED);
  }
  ~V1Program() {
    munmap(bytes_, size_);
    close(fd_);
  }
  V1Program(const V1Program&) = delete;
  V1Program& operator=(const V1Program&) = delete;

  template <class T>
  std::atomic_ref<T> At(size_t offset) {
    return std::atomic_ref(*reinterpret_cast<T*>(bytes_ + offset));
  }
  std::string Uuid(size_t card) const { return bytes_ + 64 + card * 96; }

  struct Process {
    int32_t host_pid;
    uint64_t context, data, total;
  };
  // As the reference adds them up: slots up to proc_num, those with status 0 left out.
  std::map<int32_t, Process> Processes(size_t card) {
    std::map<int32_t, Process> found;
    int32_t count = At<int32_t>(2008896).load();
    if (count > 1024) count = 1024;
    for (int32_t i = 0; i < count; ++i) {
      const size_t slot = 1856 + static_cast<size_t>(i) * 1960, used = slot + 8 + card * 64;
      if (At<int32_t>(slot + 1928).load() == 0) continue;
      EXPECT_EQ(At<uint64_t>(slot + 1936).load() % 2, 0u) << "a reader would wait for ever";
      const Process process = {At<int32_t>(slot + 4).load(), At<uint64_t>(used).load(),
                               At<uint64_t>(used + 16).load(), At<uint64_t>(used + 32).load()};
      EXPECT_TRUE(found.emplace(At<int32_t>(slot).load(), process).second);
    }
    return found;
  }
  uint64_t Used(size_t card) {
    uint64_t sum = 0;
    for (const auto& [pid, process] : Processes(card)) sum += process.total;
    return sum;
  }
  // What a reference's library does at its start: a lock of the other kind on the whole prefix, for
  // which it would wait without end, and one byte behind it.
  bool Starts() {
    struct flock range = {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_len = 2008952;
    if (fcntl(fd_, F_SETLK, &range) != 0) return false;
    const char zero = 0;
    const bool written = pwrite(fd_, &zero, 1, 2008952) == 1;
    range.l_type = F_UNLCK;
    return fcntl(fd_, F_SETLK, &range) == 0 && written;
  }

 private:
  int fd_ = -1;
  size_t size_ = 0;
  char* bytes_ = nullptr;
};

TEST(V1ReaderTest, SeesWhatRunningProcessesHold) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"},
                                {"CUDA_DEVICE_SM_LIMIT", "40"},
                                {"CUDA_TASK_PRIORITY", "2"}});
  auto first = container.Start();
  first->Begin();
  V1Program reader(container.region_path());
  EXPECT_EQ(reader.At<int32_t>(0).load(), 19920718);
  EXPECT_EQ(reader.At<uint32_t>(4).load(), 1u);
  EXPECT_EQ(reader.At<uint32_t>(8).load(), 2u);
  EXPECT_EQ(reader.At<uint64_t>(56).load(), 4u);  // cards
  EXPECT_EQ(reader.Uuid(0).substr(0, 4), "GPU-");
  EXPECT_EQ(reader.At<uint64_t>(1600).load(), 3000 * kMi);
  EXPECT_EQ(reader.At<uint64_t>(1728).load(), 40u);
  EXPECT_EQ(reader.At<int32_t>(2008900).load(), 1);
  EXPECT_EQ(reader.At<int32_t>(2008904).load(), 2);
  EXPECT_EQ(reader.At<int32_t>(2008908).load(), 2);

  const uint64_t pointer = first->Value("alloc " + Text(500 * kMi));
  first->Value("managed " + Text(10 * kMi));
  first->Value("pool 0");
  auto second = container.Start();
  second->Begin();
  second->Value("create " + Text(64 * kMi));
  const auto processes = reader.Processes(0);
  ASSERT_EQ(processes.size(), 2u);
  EXPECT_EQ(processes.at(first->pid()).context, kContext);
  EXPECT_EQ(processes.at(first->pid()).data, 510 * kMi);
  EXPECT_EQ(processes.at(first->pid()).total, kContext + 510 * kMi);
  EXPECT_EQ(processes.at(second->pid()).total, kContext + 64 * kMi);
  EXPECT_EQ(reader.Used(0), container.Used(0));
  EXPECT_EQ(reader.Used(1), 0u);

  EXPECT_EQ(first->Code("free " + Text(pointer)), 0);
  EXPECT_EQ(reader.Processes(0).at(first->pid()).total, kContext + 10 * kMi);
  first->Kill();
  container.Start()->Begin();  // whoever comes next cleans up
  container.Start()->Begin();
  EXPECT_EQ(reader.Processes(0).count(first->pid()), 0u);
  EXPECT_EQ(reader.Processes(0).at(second->pid()).total, kContext + 64 * kMi);
}

TEST(V1ReaderTest, ALimitThatAV1ProgramWritesHoldsAtOnce) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  auto probe = container.Start();
  probe->Begin();
  V1Program writer(container.region_path());
  for (const uint64_t mib : {600, 5000, 700}) {
    writer.At<uint64_t>(1600).store(mib * kMi);
    EXPECT_EQ(probe->Value("total 0"), mib * kMi);
    EXPECT_EQ(probe->Code("alloc " + Text((mib + 1) * kMi - kContext)), 2);
    const uint64_t all = probe->Value("alloc " + Text(mib * kMi - kContext));
    EXPECT_EQ(probe->Code("free " + Text(all)), 0);
  }
}

// The slots' locks lie where the reference's do not.
TEST(V1ReaderTest, AReferencesStartIsNotHeldUpByProcessesAtWork) {
  Container container(Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}});
  auto probe = container.Start();
  probe->Begin();
  V1Program reference(container.region_path());
  probe->Send("stress 1 2 " + Text(100 * kMi));
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(reference.Starts());
  EXPECT_NE(probe->Receive(), "-1");
  EXPECT_EQ(container.Used(0), kContext);
}

class OldFileTest : public ::testing::TestWithParam<uint32_t> {
 protected:
  // As a reference of this minor version leaves it: one process that has ended.
  void SetUp() override {
    std::string bytes(kOldFile, '\0');
    const auto put = [&bytes](size_t offset, auto value) {
      memcpy(bytes.data() + offset, &value, sizeof value);
    };
    put(0, int32_t{19920718});
    put(4, uint32_t{1});
    put(8, GetParam());
    put(24, uint32_t{1});  // the semaphores
    put(32, uint32_t{128});
    put(2008920, uint32_t{1});
    put(2008928, uint32_t{128});
    put(1600, uint64_t{3000 * kMi});
    for (size_t card = 0; card < 16; ++card) put(1728 + 8 * card, uint64_t{100});
    put(1856, int32_t{0x7ffffff0});
    put(1856 + 8 + 16, uint64_t{400 * kMi});
    put(1856 + 8 + 32, uint64_t{400 * kMi});
    put(1856 + 1928, int32_t{1});
    put(2008896, int32_t{1});
    put(2008900, int32_t{1});
    put(2008904, int32_t{2});
    put(2008908, int32_t{1});
    std::ofstream(container_.region_path(), std::ios::binary) << bytes;
  }
  Container container_;
};

// Many at once, under the eyes of a reader that mapped the file when it was short.
TEST_P(OldFileTest, IsExtendedOnceByManyAndKeepsItsLimitAndItsReader) {
  V1Program reader(container_.region_path());
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 6; ++i) probes.push_back(container_.Start());
  for (auto& probe : probes) probe->Send("init");
  for (auto& probe : probes) EXPECT_EQ(probe->Receive(), "0");
  for (auto& probe : probes) {
    EXPECT_EQ(probe->Code("ctx 0"), 0);
    EXPECT_EQ(probe->Value("total 0"), 3000 * kMi);
    probe->Value("alloc " + Text(100 * kMi));
    EXPECT_EQ(probe->Errors(), "");
  }
  struct stat status = {};
  ASSERT_EQ(stat(container_.region_path().c_str(), &status), 0);
  EXPECT_EQ(status.st_size, 4194304);
  EXPECT_GT(status.st_blocks * 512, 4000000) << "not sparse";
  const uint64_t used = 6 * (kContext + 100 * kMi);
  EXPECT_EQ(container_.Used(0), used);
  EXPECT_EQ(reader.Used(0), used);  // without the process that has ended
  EXPECT_EQ(reader.Processes(0).size(), 6u);
  EXPECT_EQ(reader.At<uint32_t>(8).load(), GetParam());
  EXPECT_EQ(probes[0]->Code("alloc " + Text(3000 * kMi - used + 1)), 2);
  EXPECT_EQ(probes[0]->Code("alloc " + Text(3000 * kMi - used)), 0);
  EXPECT_EQ(container_.CardPeak(0), 3000 * kMi);
}
INSTANTIATE_TEST_SUITE_P(Minor, OldFileTest, ::testing::Values(1, 2));

// Nothing but the region joins them: two containers' images with libraries of their own, a rolling
// update with processes that live on.
class TwoBuildsTest : public ::testing::Test {
 protected:
  std::unique_ptr<Probe> Start(bool other) {
    auto probe =
        container_.Start({{"LD_PRELOAD", other ? Built("tests/other/libvgpu.so") : Limiter()}});
    EXPECT_EQ(probe->Code("init"), 0);
    return probe;
  }
  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "2000m"}}};
};

TEST_F(TwoBuildsTest, KeepOneLimitAndOneAccount) {
  auto one = Start(false), two = Start(true);
  one->Begin();
  two->Begin();
  EXPECT_EQ(two->Ask("find libcuda.so.1 cuMemAlloc_v2"), "libvgpu.so");
  const uint64_t pointer = one->Value("alloc " + Text(1000 * kMi));
  EXPECT_EQ(two->Ask("info"), one->Ask("info"));
  EXPECT_EQ(two->Code("alloc " + Text(488 * kMi + 1)), 2);
  two->Value("alloc " + Text(488 * kMi));
  EXPECT_EQ(one->Code("alloc 1"), 2);
  EXPECT_EQ(one->Code("free " + Text(pointer)), 0);
  EXPECT_EQ(two->Code("alloc " + Text(1000 * kMi)), 0);
  EXPECT_EQ(container_.CardPeak(0), 2000 * kMi);
  EXPECT_EQ(container_.Used(0), container_.CardUsed(0));
}

TEST_F(TwoBuildsTest, ReapOneAnother) {
  for (const bool other : {false, true}) {
    auto living = Start(!other), dying = Start(other);
    living->Begin();
    dying->Begin();
    dying->Value("alloc " + Text(1400 * kMi));
    dying->Kill();
    EXPECT_EQ(living->Code("alloc " + Text(1700 * kMi)), 0);
    EXPECT_EQ(container_.Used(0), kContext + 1700 * kMi);
  }
}

TEST_F(TwoBuildsTest, KeepTheLimitTogetherInFullSwingAndUnderKills) {
  std::vector<std::unique_ptr<Probe>> probes;
  for (int i = 0; i < 4; ++i) {
    probes.push_back(Start(i % 2 == 1));
    probes.back()->Begin();
  }
  // What a build of a later minor version may have added is no matter to the others.
  container_.region().ext.header.ext_minor = 9;
  container_.region().ext.header.feature_bits |= uint64_t{1} << 40;
  for (auto& probe : probes) probe->Send("stress 2 2 " + Text(200 * kMi));
  probes.pop_back();
  probes.push_back(Start(true));
  EXPECT_EQ(probes.back()->Errors(), "");
  for (size_t i = 0; i < 3; ++i) {
    const std::string answer = probes[i]->Receive();
    EXPECT_EQ(answer.substr(answer.rfind(' ')), " 0") << answer;  // none failed
  }
  probes.back()->Begin();
  EXPECT_EQ(probes[0]->Code("alloc " + Text(2000 * kMi)), 2);  // and cleans up before it refuses
  EXPECT_EQ(container_.Used(0), 4 * kContext);
  EXPECT_EQ(container_.CardUsed(0), 4 * kContext);
  EXPECT_LE(container_.CardPeak(0), 2000 * kMi);
  EXPECT_EQ(container_.region().ext.header.saturated, 0u);
  EXPECT_EQ(container_.region().ext.header.ext_minor, 9);
  EXPECT_NE(container_.region().ext.header.feature_bits & uint64_t{1} << 40, 0u);
}

}  // namespace
}  // namespace hami::limiter::testing
