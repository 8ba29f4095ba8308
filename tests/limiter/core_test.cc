// Spec D2.9 to D2.11, core limit and priority: programs on a simulated card whose own timeline is
// the judge. "Never above the limit" is asserted strictly; "not below" with room for a machine that
// takes the programs' time away (core_matrix measures it).
#include <gtest/gtest.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "abi/limits_page.h"
#include "tests/limiter/judge.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

constexpr double kAbove = 1, kBelow = 8;

Variables Force(int percent) {
  return {{"CUDA_DEVICE_SM_LIMIT", std::to_string(percent)},
          {"GPU_CORE_UTILIZATION_POLICY", "force"}};
}

uint64_t BootNs() {
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

class CoreTest : public ::testing::Test {
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
  static void ExpectShare(double share, double limit) {
    EXPECT_LE(share, limit + kAbove);
    EXPECT_GE(share, limit - kBelow);
  }
};

class EveryEntry : public CoreTest, public ::testing::WithParamInterface<const char*> {};

// B7: cooperative launches, cuLaunchKernelEx and per-thread streams escaped the reference's limit.
TEST_P(EveryEntry, OfALaunchIsCharged) {
  Container box(Force(25));
  Program program = Load(box, "1000", GetParam());
  Judge judge(box.folder() + "/state");
  judge.Watch(1);
  judge.Begin(0);
  judge.Watch(4);
  ExpectShare(judge.Share(program->pid()), 25);
}
INSTANTIATE_TEST_SUITE_P(Kinds, EveryEntry,
                         ::testing::Values("sync", "deep", "ptsz", "cooperative", "ex", "streams",
                                           "threads", "graph"));

TEST_F(CoreTest, TwoProcessesShareOneLimit) {
  Container box(Force(50));
  Program a = Load(box, "1000", "sync"), b = Load(box, "1000", "sync");
  Judge judge(box.folder() + "/state");
  judge.Watch(1);
  judge.Begin(0);
  judge.Watch(5);
  ExpectShare(judge.Share({a->pid(), b->pid()}), 50);
  EXPECT_GT(judge.Share(a->pid()), 10);
  EXPECT_GT(judge.Share(b->pid()), 10);
}

TEST_F(CoreTest, TwoContainersOnOneCardGetTheirOwnShares) {
  for (const int other : {60, 70}) {
    Container box(Force(30));
    Variables beside = Force(other);
    beside["FAKEGPU_STATE"] = box.folder() + "/state";
    Container next(beside);
    Program a = Load(box, "1000", "batch"), b = Load(next, "1000", "batch");
    Judge judge(box.folder() + "/state");
    judge.Watch(1);
    judge.Begin(0);
    judge.Watch(5);
    ExpectShare(judge.Share(a->pid()), 30);
    ExpectShare(judge.Share(b->pid()), other);
  }
}

TEST_F(CoreTest, EachCardHasItsOwnLimit) {
  Variables limits = Force(100);
  limits["CUDA_DEVICE_SM_LIMIT_0"] = "20";
  limits["CUDA_DEVICE_SM_LIMIT_1"] = "60";
  Container box(limits);
  Program first = Load(box, "1000", "deep", true, 0), second = Load(box, "1000", "deep", true, 1);
  Program third = Load(box, "1000", "deep", true, 2);
  Judge one(box.folder() + "/state"), two(box.folder() + "/state"), three(box.folder() + "/state");
  one.Watch(1);
  one.Begin(0), two.Begin(1), three.Begin(2);
  for (int i = 0; i < 4; ++i) {
    one.Watch(1);
    two.Look(), three.Look();
  }
  ExpectShare(one.Share(first->pid()), 20);
  ExpectShare(two.Share(second->pid()), 60);
  EXPECT_GT(three.Share(third->pid()), 80);
}

TEST_F(CoreTest, TheDefaultPolicyObeysTheMonitorsSwitchBothWays) {
  Container box(Variables{{"CUDA_DEVICE_SM_LIMIT", "20"}});
  Program program = Load(box, "1000", "sync");
  Monitor monitor(box);
  Judge judge(box.folder() + "/state");
  const auto share = [&](int on) {
    monitor.SetSwitch(on);
    judge.Begin(0);
    judge.Watch(2);
    return judge.Share(program->pid());
  };
  EXPECT_GT(share(0), 35);
  EXPECT_LT(share(1), 22);
  EXPECT_GT(share(0), 35);
}

TEST_F(CoreTest, ThePolicyDisableNeverLimitsAndMeasuresAllTheSame) {
  Container box(
      Variables{{"CUDA_DEVICE_SM_LIMIT", "20"}, {"GPU_CORE_UTILIZATION_POLICY", "Disable"}});
  Program program = Load(box, "1000", "sync");
  Judge judge(box.folder() + "/state");
  judge.Begin(0);
  judge.Watch(3);
  const double share = judge.Share(program->pid());
  EXPECT_GT(share, 35);
  EXPECT_GT(box.region().ext.slots[0].device[0].busy_ns, 500'000'000u);
}

TEST_F(CoreTest, AChangedLimitHoldsAtOnceBothWays) {
  Container box(Force(20));
  Program program = Load(box, "1000", "deep");
  Monitor monitor(box);
  Judge judge(box.folder() + "/state");
  judge.Watch(1);
  for (const int percent : {60, 10, 90, 30}) {
    monitor.SetPercent(static_cast<uint64_t>(percent));
    judge.Begin(0);
    judge.Watch(2);
    EXPECT_NEAR(judge.Share(program->pid()), percent, kBelow) << percent;
  }
}

// An unlimited container has no thread and looks at few words: a limit must reach it all the same.
TEST_F(CoreTest, ALimitReachesAContainerThatHadNone) {
  Container box;
  Program program = Load(box, "1000", "deep");
  Monitor monitor(box);
  Judge judge(box.folder() + "/state");
  monitor.SetPercent(20);
  judge.Watch(2);  // what had been queued
  judge.Begin(0);
  judge.Watch(3);
  ExpectShare(judge.Share(program->pid()), 20);
  monitor.SetPercent(0);
  judge.Watch(1);
  judge.Begin(0);
  judge.Watch(2);
  EXPECT_GT(judge.Share(program->pid()), 80);
}

// The page that the container cannot write: followed by its generation alone.
TEST_F(CoreTest, ALimitWrittenIntoLimitsRoReachesARunningContainer) {
  Container box;
  HamiLimitsPage page = {};
  page.magic = HAMI_LIMITS_MAGIC;
  page.version = HAMI_LIMITS_VERSION;
  page.size = HAMI_LIMITS_SIZE;
  page.generation = 2;
  page.device_count = 1;
  page.policy = HAMI_POLICY_FORCE;
  const auto write = [&] {
    std::fstream out(
        box.folder() + "/" HAMI_LIMITS_FILE,
        std::ios::binary | std::ios::out | (page.generation > 2 ? std::ios::in : std::ios::out));
    out.write(reinterpret_cast<const char*>(&page), sizeof page);
  };
  write();
  Program asker = box.StartProgram({ProbeProgram()});
  asker->Begin();
  memcpy(page.devices[0].uuid, box.region().v1.uuids[0], sizeof page.devices[0].uuid);
  page.generation += 2;
  write();
  Program program = Load(box, "1000", "sync");
  AwaitLaunch(program);
  page.devices[0].core_percent = 20;
  page.generation += 2;
  write();
  Judge judge(box.folder() + "/state");
  judge.Watch(0.5);
  judge.Begin(0);
  judge.Watch(3);
  EXPECT_LE(judge.Share(program->pid()), 20 + kAbove);
}

// A reference's monitor writes the limit and wakes nobody.
TEST_F(CoreTest, ALimitWithoutAWakeReachesAnUnlimitedContainerAtTheMonitorsNextTick) {
  Container box;
  Program program = Load(box, "1000", "sync");
  std::atomic_ref(box.region().v1.sm_limit[0]).store(20);
  Monitor monitor(box);
  monitor.SetRecent(1);
  Judge judge(box.folder() + "/state");
  judge.Watch(0.5);
  judge.Begin(0);
  judge.Watch(3);
  EXPECT_LE(judge.Share(program->pid()), 20 + kAbove);
}

class EveryBlocked : public CoreTest, public ::testing::WithParamInterface<const char*> {};

// User complaint 132: low priority is not held back; containers without a core limit never were.
TEST_P(EveryBlocked, LaunchStandsWhileTheMonitorSaysSo) {
  for (const bool limited : {false, true}) {
    Container box(limited ? Force(50) : Variables{});
    Program program = Load(box, "100", GetParam());
    AwaitLaunch(program);
    Monitor monitor(box);
    monitor.SetRecent(-1);
    usleep(50'000);
    EXPECT_TRUE(Stands(program)) << GetParam() << (limited ? " limited" : "");
    EXPECT_EQ(monitor.recent(), -1) << "never overwritten by us";
    monitor.SetRecent(0);
    AwaitLaunch(program);
    EXPECT_EQ(monitor.recent(), 2);
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, EveryBlocked,
                         ::testing::Values("sync", "ptsz", "cooperative", "ex", "threads",
                                           "graph"));

TEST_F(CoreTest, AMonitorThatDiedHoldsNobodyBack) {
  Container box;
  Program program = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  monitor.Heartbeat(BootNs());
  monitor.SetRecent(-1);
  usleep(50'000);
  EXPECT_TRUE(Stands(program));
  monitor.Heartbeat(BootNs() - 11'000'000'000u);
  AwaitLaunch(program);
  EXPECT_EQ(monitor.recent(), -1);
}

TEST_F(CoreTest, AnOperatorSuspendsAndResumesAProcess) {
  Container box;
  Program program = Load(box, "100", "sync"), other = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  const int slot = box.region().v1.procs[0].pid == program->pid() ? 0 : 1;
  monitor.SetStatus(slot, HAMI_V1_SUSPENDED);
  usleep(50'000);
  EXPECT_TRUE(Stands(program));
  AwaitLaunch(other);
  monitor.SetStatus(slot, HAMI_V1_RUNNING);
  AwaitLaunch(program);
}

TEST_F(CoreTest, TheMonitorSeesWhoLaunchesAndWhen) {
  Container box;
  Program program = Load(box, "100", "sync");
  AwaitLaunch(program);
  Monitor monitor(box);
  std::atomic_ref(box.region().v1.last_kernel_time).store(1000);
  for (const int32_t aged : {1, 0}) {
    monitor.SetRecent(aged);
    while (monitor.recent() != 2) usleep(1000);
  }
  while (std::atomic_ref(box.region().v1.last_kernel_time).load() == 1000) usleep(1000);
  EXPECT_NEAR(static_cast<double>(std::atomic_ref(box.region().v1.last_kernel_time).load()),
              static_cast<double>(time(nullptr)), 2);
}

TEST_F(CoreTest, UtilisationIsPublishedPerProcess) {
  Container box(Force(40));
  Program program = Load(box, "1000", "deep");
  HamiRegion& region = box.region();
  auto& util = region.v1.procs[0].device_util[0].sm_util;
  while (std::atomic_ref(util).load() < 30) usleep(10'000);
  EXPECT_LE(std::atomic_ref(util).load(), 50u);
  EXPECT_GT(region.ext.slots[0].device[0].launches, 100u);
}

TEST_F(CoreTest, OnlyLimitedProcessesHaveAThreadAndItTakesNoSignals) {
  const auto threads = [](pid_t pid) {
    std::vector<std::string> names;
    for (pid_t tid = pid; tid < pid + 64; ++tid) {
      std::ifstream in("/proc/" + std::to_string(pid) + "/task/" + std::to_string(tid) + "/comm");
      std::string name;
      if (std::getline(in, name)) names.push_back(name + " " + std::to_string(tid));
    }
    return names;
  };
  Container free_box, box(Force(50));
  Program unlimited = Load(free_box, "100", "sync"), limited = Load(box, "100", "sync");
  AwaitLaunch(unlimited);
  AwaitLaunch(limited);
  for (const std::string& name : threads(unlimited->pid())) {
    EXPECT_EQ(name.find("hami-core"), std::string::npos);
  }
  std::string tid;
  while (tid.empty()) {
    for (const std::string& name : threads(limited->pid())) {
      if (name.rfind("hami-core ", 0) == 0) tid = name.substr(10);
    }
  }
  std::ifstream status("/proc/" + std::to_string(limited->pid()) + "/task/" + tid + "/status");
  std::string blocked;
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("SigBlk:", 0) == 0) blocked = line.substr(8);
  }
  // All but SIGKILL and SIGSTOP, which cannot be, and the two by which glibc's setuid() reaches all
  // threads.
  EXPECT_EQ(blocked, "fffffffe7ffbfeff");
}

}  // namespace
}  // namespace hami::limiter::testing
