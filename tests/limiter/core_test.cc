// Spec D2.9 to D2.11, core limit (priority: feedback_test.cc): programs on a simulated card whose
// own timeline is the judge. "Never above the limit" is asserted strictly; "not below" with room
// for a machine that takes the programs' time away (core_matrix measures it).
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "abi/limits_page.h"
#include "tests/limiter/judge.h"
#include "tests/limiter/load.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

constexpr double kAbove = 1, kBelow = 8;

class CoreTest : public LaunchingTest {
 protected:
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

// Who is never alone on the card learns from who was.
TEST_F(CoreTest, ProcessesShareWhatTheirKernelsTakeHoweverTheyCameByThem) {
  Container box(Force(50));
  const auto durations = [&box] {  // in microseconds, in order
    std::multiset<uint64_t> all;
    for (HamiExtFunction& function : box.region().ext.functions) {
      const uint64_t word = std::atomic_ref(function.current).load();
      constexpr uint64_t kNs = (uint64_t{1} << HAMI_FUNCTION_NS_BITS) - 1;
      if (std::atomic_ref(function.key).load() != 0) all.insert((word & kNs) / 10'000 * 10);
    }
    return all;
  };
  const auto await = [&](const std::multiset<uint64_t>& expected) {
    for (int i = 0; i < 600 && durations() != expected; ++i) usleep(50'000);
    EXPECT_EQ(durations(), expected);
  };
  Program module = Load(box, "1000", "sync"), library = Load(box, "1000", "library");
  await({1000});
  Program others = Load(box, "mixed", "sync");
  await({20, 100, 1000});
  Program graph = Load(box, "2000", "graph"), again = Load(box, "2000", "graph");
  await({20, 100, 1000, 40'000});
}

int FunctionsKnown(Container& box) {
  int known = 0;
  for (HamiExtFunction& function : box.region().ext.functions) {
    known += std::atomic_ref(function.key).load() != 0 ? 1 : 0;
  }
  return known;
}

// A program may change the kernels of a graph that it has made.
TEST_F(CoreTest, AGraphThatWasUpdatedIsNoLongerSharedAsWhatItWas) {
  Container box(Force(90));
  Program updated = Load(box, "1000", "graph_updated");
  while (Launches(updated) < 20 * 20) usleep(10'000);
  ASSERT_EQ(FunctionsKnown(box), 0);
  Program graph = Load(box, "1000", "graph");
  while (Launches(graph) < 20 * 20) usleep(10'000);
  EXPECT_EQ(FunctionsKnown(box), 1);
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

// Compared with what was launched since, eight such programs got 82 % for ten seconds.
TEST_F(CoreTest, TrapNvmlIsLate) {
  Variables limits = Force(75);
  limits["FAKEGPU_UTIL_LAG_MS"] = "700";
  Container box(limits);
  std::vector<Program> programs;
  std::vector<pid_t> pids;
  for (int i = 0; i < 8; ++i) {
    programs.push_back(Load(box, "1000", "deep"));
    pids.push_back(programs.back()->pid());
  }
  const Program beside = Load(box, "1000", "batch", false);
  Judge judge(box.folder() + "/state");
  judge.Watch(2);
  judge.Begin(0);
  judge.Watch(8);
  EXPECT_LT(judge.Share(pids), 75 + 4);
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
  // A busy machine slows the program down, for a while.
  const auto exceeds_the_limit = [&] {
    for (int i = 0; i < 30; ++i) {
      if (share(0) > 25) return true;
    }
    return false;
  };
  EXPECT_TRUE(exceeds_the_limit());
  EXPECT_LT(share(1), 22);
  EXPECT_TRUE(exceeds_the_limit());
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
