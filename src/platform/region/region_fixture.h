// Test support: a folder with a region in it, and processes that join it with the library's own
// code and are killed where a test says.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "limiter/region/attachment.h"
#include "platform/region/mapped_region.h"
#include "platform/region/region_file.h"

namespace hami::region {

class RegionFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-region-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    path_ = folder_ + "/r.cache";
    setenv("CUDA_DEVICE_MEMORY_SHARED_CACHE", path_.c_str(), 1);
  }
  void TearDown() override {
    EndProcess();
    unsetenv("CUDA_DEVICE_MEMORY_SHARED_CACHE");
    std::filesystem::remove_all(folder_);
  }
  void MakeRegion() {
    ASSERT_TRUE(Create(path_, {.cards = {{"GPU-a", Bytes{3000}, Bytes{0}, Percent{30}},
                                         {"GPU-b", Bytes{0}, Bytes{5}, Percent{100}}},
                               .priority = 0,
                               .unix_seconds = 1'800'000'000}));
  }
  // A process that holds `bytes` on card 0 and then waits to be ended.
  void StartProcess(uint64_t bytes) {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    child_ = fork();
    if (child_ == 0) {
      limiter::region::Attachment own;
      bool good = own.Join();
      good = good && limiter::region::Account<>::Begin(own.words(0), bytes, own.limits().Memory(0));
      if (good) {
        limiter::region::Account<>::Commit(own.words(0), HAMI_KIND_DATA, bytes, bytes);
      }
      if (write(ready[1], good ? "y" : "n", 1) != 1) _exit(1);
      while (true) pause();
    }
    char answer = 'n';
    EXPECT_EQ(read(ready[0], &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    close(ready[0]);
    close(ready[1]);
  }
  void EndProcess() {
    if (child_ <= 0) return;
    kill(child_, SIGKILL);
    waitpid(child_, nullptr, 0);
    child_ = 0;
  }
  // Changes bytes of the file as somebody does who ignores every rule.
  template <class T>
  void Poke(size_t offset, T value) {
    std::fstream file(path_, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(static_cast<std::streamoff>(offset));
    file.write(reinterpret_cast<const char*>(&value), sizeof value);
  }
  MappedRegion Mapped() {
    auto region = MappedRegion::Open(path_, true);
    EXPECT_TRUE(region) << region.error().message;
    return std::move(*region);
  }

  std::string folder_, path_;
  pid_t child_ = 0;
};

// A version 1 file as a reference leaves it, by the offsets of spec A4.
inline std::string ReferenceFile() {
  std::string v1(2008953, '\0');
  const auto put = [&v1](size_t offset, auto value) {
    memcpy(v1.data() + offset, &value, sizeof value);
  };
  put(0, int32_t{19920718});
  put(4, uint32_t{1});
  put(8, uint32_t{2});
  put(56, uint64_t{1});
  memcpy(v1.data() + 64, "GPU-x", 5);
  put(1600, uint64_t{777});
  put(1728, uint64_t{45});
  put(1856 + 1960, int32_t{4242});
  put(1856 + 1960 + 4, int32_t{99});
  put(1856 + 1960 + 8, uint64_t{100});       // context
  put(1856 + 1960 + 8 + 16, uint64_t{400});  // data
  put(1856 + 1960 + 1928, int32_t{1});
  put(2008896, int32_t{2});
  put(2008908, int32_t{1});
  return v1;
}

// The same of version 0.
inline std::string AncientFile() {
  std::string v0(1197896, '\0');
  const auto put = [&v0](size_t offset, auto value) {
    memcpy(v0.data() + offset, &value, sizeof value);
  };
  put(0, int32_t{19920718});
  put(48, uint64_t{1});
  memcpy(v0.data() + 56, "GPU-o", 5);
  put(1592, uint64_t{888});
  put(1720, uint64_t{55});
  put(1848, int32_t{7});
  put(1848 + 8 + 16, uint64_t{300});  // data
  put(1848 + 1160, int32_t{1});
  put(1197880, int32_t{1});
  put(1197892, int32_t{0});
  return v0;
}

}  // namespace hami::region
