// Programs that launch (core_load.cc), and what the node's monitor and operators do to their
// region.
#pragma once

#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

#include "tests/limiter/session.h"

namespace hami::limiter::testing {

inline Variables Force(int percent) {
  return {{"CUDA_DEVICE_SM_LIMIT", std::to_string(percent)},
          {"GPU_CORE_UTILIZATION_POLICY", "force"}};
}

inline uint64_t BootNs() {
  timespec now;
  clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// What the node's monitor and operators do to a region.
class Monitor {
 public:
  explicit Monitor(Container& container) : region_(container.region()) {}
  void SetRecent(int32_t value) { std::atomic_ref(region_.v1.recent_kernel).store(value); }
  int32_t recent() { return std::atomic_ref(region_.v1.recent_kernel).load(); }
  void SetSwitch(int32_t value) { std::atomic_ref(region_.v1.utilization_switch).store(value); }
  void SetPercent(uint64_t percent) {
    std::atomic_ref(region_.v1.sm_limit[0]).store(percent);
    Wake();
  }
  void SetStatus(int slot, int32_t status) {
    std::atomic_ref(region_.v1.procs[slot].status).store(status);
    Wake();
  }
  void Heartbeat(uint64_t ns) {
    std::atomic_ref(region_.ext.header.monitor_heartbeat_ns).store(ns);
  }

 private:
  void Wake() {
    auto& word = region_.ext.header.limits_wake;
    std::atomic_ref(word).fetch_add(1);
    syscall(SYS_futex, &word, FUTEX_WAKE, 1 << 30, nullptr, nullptr, 0);
  }
  HamiRegion& region_;
};

class LaunchingTest : public ::testing::Test {
 protected:
  using Program = std::unique_ptr<Probe>;
  static Program Load(Container& box, const std::string& kernel_us, const std::string& pattern,
                      bool preload = true, int card = 0) {
    Program program =
        box.StartProgram({CoreLoad(), kernel_us, pattern, std::to_string(card)}, {}, preload);
    EXPECT_EQ(program->Receive(), "ready");
    return program;
  }
  static uint64_t Launches(Program& program) { return std::stoull(program->Ask("launches")); }
  // Whether nothing is launched for a while.
  static bool Stands(Program& program) {
    const uint64_t before = Launches(program);
    usleep(300'000);
    return Launches(program) == before;
  }
  // Waits until something is launched.
  static void AwaitLaunch(Program& program) {
    const uint64_t before = Launches(program);
    while (Launches(program) == before) usleep(1000);
  }
};

}  // namespace hami::limiter::testing
