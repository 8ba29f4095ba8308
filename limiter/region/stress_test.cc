// Threads that behave as processes: each takes a slot with a description of its own, allocates,
// frees, reaps and repairs, and "dies" in the middle of any of it, as the kernel ends a process:
// its descriptor is closed, nothing else happens. For ThreadSanitizer above all (tools/test, step
// tsan).
//
// HAMI_STRESS_SECONDS: how long (default 3; tools/soak takes 600 at a time). HAMI_STRESS_SEED: what
// the threads choose (default 0).
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "limiter/region/file.h"
#include "limiter/region/slots.h"

namespace hami::limiter::region {
namespace {

constexpr uint64_t kLimit = 1000;
constexpr int kThreads = 6;

long FromEnvironment(const char* name, long otherwise) {
  const char* value = getenv(name);
  return value == nullptr ? otherwise : atol(value);
}

class Stress {
 public:
  Stress() {
    char name[] = "/tmp/hami-stress-XXXXXX";
    close(mkstemp(name));
    path_ = name;
    opened_ = OpenRegion(path_.c_str(), {});
    self_ = OwnIdentity();
  }
  ~Stress() {
    close(opened_.lock_fd);
    unlink(path_.c_str());
  }

  HamiRegion& region() { return *opened_.region; }
  uint64_t Total() { return BytesOf(Account<>::Load(region().ext.header.devices[0].used_total)); }

  // One process after the other until the time is over.
  void Live(int thread, const std::atomic<bool>& over) {
    std::mt19937 random(
        static_cast<unsigned>(FromEnvironment("HAMI_STRESS_SEED", 0) * kThreads + thread + 1));
    for (uint64_t life = 1; !over; ++life) {
      // Somebody who had this pid before it was given to this test: dead once the byte is free.
      Identity identity = self_;
      identity.start_ticks -= 1;
      const int lock_fd = OpenLock(path_.c_str());
      Slots slots;
      slots.Bind(&region(), lock_fd, identity);
      const int slot = slots.Claim();
      if (slot >= 0) Work(slots, slot, random, over);
      close(lock_fd);
      ++lives;
    }
  }

  // After the last one: exact.
  void Settle() {
    Slots slots;
    slots.Bind(&region(), opened_.lock_fd, self_);
    slots.Reap(-1, 1);
    Account<>::Repair(region(), 0);
  }

  std::atomic<uint64_t> lives{0}, granted{0}, overshot{0};

 private:
  void Work(Slots& slots, int slot, std::mt19937& random, const std::atomic<bool>& over) {
    HamiExtSlot& ext = region().ext.slots[slot];
    sys::ShortLock turn;
    const Account<>::Words words{
        &region().ext.header, &region().ext.header.devices[0],  &ext.device[0],
        &ext.pending[0],      &region().v1.procs[slot].used[0], &turn};
    std::vector<uint64_t> held;
    while (!over) {
      if (random() % 64 == 0) return;
      const uint64_t bytes = 1 + random() % 300;
      uint64_t reserved = 0;
      switch (random() % 4) {
        case 0:
          reserved = Account<>::Begin(words, bytes, kLimit) ? bytes : 0;
          break;
        case 1:
          reserved = Account<>::BeginUpTo(words, bytes, kLimit);
          break;
        case 2:
          if (held.empty()) break;
          Account<>::Release(words, HAMI_KIND_DATA, held.back());
          held.pop_back();
          break;
        default:
          slots.Reap(slot, 1);
          slots.BytesOfTheDead(slot, 0);
          Account<>::Repair(region(), 0);
      }
      if (reserved != 0) {
        ++granted;
        if (random() % 64 == 0) return;
        const uint64_t actual = 1 + random() % reserved;
        if (random() % 4 == 0) {
          Account<>::Cancel(words, reserved);
        } else {
          Account<>::Commit(words, HAMI_KIND_DATA, reserved, actual);
          held.push_back(actual);
        }
      }
      if (Total() > kLimit) ++overshot;
    }
  }

  std::string path_;
  Opened opened_;
  Identity self_;
};

TEST(RegionStressTest, ThreadsThatDieAnywhereLeaveAnExactAccount) {
  Stress stress;
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&stress, &over, i] { stress.Live(i, over); });
  }
  const timespec nap = {FromEnvironment("HAMI_STRESS_SECONDS", 3), 0};
  nanosleep(&nap, nullptr);
  over = true;
  for (std::thread& thread : threads) thread.join();
  stress.Settle();
  EXPECT_EQ(stress.Total(), 0u);
  EXPECT_EQ(stress.overshot, 0u);
  EXPECT_EQ(stress.region().ext.header.saturated, 0u);
  EXPECT_GT(stress.lives, 10u);
  printf("  %llu lives, %llu grants, %llu repairs\n", static_cast<unsigned long long>(stress.lives),
         static_cast<unsigned long long>(stress.granted),
         static_cast<unsigned long long>(stress.region().ext.header.repaired));
}

}  // namespace
}  // namespace hami::limiter::region
