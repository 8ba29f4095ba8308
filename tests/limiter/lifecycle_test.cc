// Spec D2.7: every way in which processes begin, split and end, and what is left of them in the
// account.
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <string>

#include "tests/limiter/kill_rounds.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class LifecycleTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 3000 * kMi;

  void TearDown() override {
    EXPECT_LE(container_.CardPeak(0), kLimit);
    EXPECT_EQ(container_.region().ext.header.saturated, 0u);
  }
  std::unique_ptr<Probe> Begin(uint64_t bytes = 0) {
    auto probe = container_.Start();
    probe->Begin();
    if (bytes != 0) probe->Value("alloc " + Text(bytes));
    return probe;
  }
  // What the next process that looks reads.
  uint64_t UsedByLooking() {
    const std::string memory = container_.Start()->Ask("nvmlmem 0");  // code total free used
    return std::stoull(memory.substr(memory.rfind(' ') + 1));
  }

  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}}};
};

TEST(KillRoundsTest, FiftyKillsAndStopsUnderLoadLeaveTheAccountExact) {
  KillRounds rounds(7);
  while (rounds.figures().kills < 50) ASSERT_EQ(rounds.Round(), "");
  const KillFigures& figures = rounds.figures();
  EXPECT_GT(figures.stops, 0u);
  EXPECT_GT(figures.samples, 50u);
  printf("longest operation %.1f ms, longest until exact %.1f ms\n",
         static_cast<double>(figures.longest_ns) / 1e6,
         static_cast<double>(figures.longest_exact_ns) / 1e6);
}

// What a process that stands still has begun may never be finished: nobody waits for it.
TEST_F(LifecycleTest, ARefusalDoesNotWaitForAStoppedProcess) {
  auto stopped = Begin();
  auto other = Begin();
  // Stopped with a reservation under way: the slot says so.
  HamiExtSlot& slot = container_.region().ext.slots[0];
  ASSERT_EQ(slot.pid, stopped->pid());
  kill(stopped->pid(), SIGSTOP);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(stopped->pid()), &info, WSTOPPED | WNOWAIT);
  slot.pending[0] += 2000 * kMi;
  container_.region().ext.header.devices[0].used_total += 2000 * kMi;
  const time_t start = time(nullptr);
  for (int i = 0; i < 40; ++i) EXPECT_EQ(other->Code("alloc " + Text(1000 * kMi)), 2);
  EXPECT_LT(time(nullptr) - start, 15) << "promised: 100 ms each; waiting for it would take 20 s";
  EXPECT_EQ(other->Code("alloc " + Text(100 * kMi)), 0);
  container_.region().ext.header.devices[0].used_total -= 2000 * kMi;
  slot.pending[0] -= 2000 * kMi;
  kill(stopped->pid(), SIGCONT);
  EXPECT_EQ(stopped->Code("alloc " + Text(100 * kMi)), 0);
}

// COMPLAINT: a container that was killed and started again got out of memory for five seconds, for
// in its new pid namespace nobody could tell that the process before it was dead.
TEST_F(LifecycleTest, ARestartedContainerIsNotRefusedForItsPredecessorsMemory) {
  auto before = Begin(2500 * kMi);
  container_.region().ext.slots[0].pidns_inode += 1;
  before->Kill();
  auto after = Begin(2500 * kMi);
  EXPECT_EQ(container_.Used(0), container_.CardUsed(0));
  EXPECT_EQ(after->Code("alloc " + Text(1000 * kMi)), 2);  // now it is this one's
}

// A child that ends under a pid that was somebody's: clone3 can choose it.
TEST_F(LifecycleTest, TrapC_ARecycledPidKeepsNothingAlive) {
  auto dead = Begin(2000 * kMi);
  const pid_t pid = dead->pid();
  dead->Kill();
  clone_args arguments = {};
  arguments.exit_signal = SIGCHLD;
  arguments.set_tid = reinterpret_cast<uint64_t>(&pid);
  arguments.set_tid_size = 1;
  const long child = syscall(SYS_clone3, &arguments, sizeof arguments);
  if (child == 0) {
    for (;;) pause();
  }
  if (child < 0) GTEST_SKIP() << "no right to choose a pid";
  EXPECT_EQ(child, pid);
  auto next = Begin();
  EXPECT_EQ(next->Code("alloc " + Text(kLimit - kContext)), 0);
  kill(static_cast<pid_t>(child), SIGKILL);
  waitpid(static_cast<pid_t>(child), nullptr, 0);
}

// Nobody outside can tell by the pid: its byte has to stay free for five seconds.
TEST_F(LifecycleTest, AProcessOfAnotherPidNamespaceThatDiedIsGivenBack) {
  auto inside = container_.Start({{"PROBE_UNSHARE", "1"}});
  if (inside->Ask("pid") != "1") GTEST_SKIP() << "no right to make a pid namespace";
  inside->Begin();
  inside->Value("alloc " + Text(2000 * kMi));
  auto outside = Begin();
  EXPECT_EQ(outside->Code("alloc " + Text(1000 * kMi)), 2);
  inside->Kill();  // the parent, with whom the child dies
  const time_t start = time(nullptr);
  while (outside->Code("alloc " + Text(1000 * kMi)) == 2 && time(nullptr) - start < 60) {
    usleep(10'000);
  }
  EXPECT_EQ(container_.Used(0), kContext + 1000 * kMi);
}

TEST_F(LifecycleTest, ForkAndExecMakeTwoIndependentProcesses) {
  auto probe = Begin(1000 * kMi);
  const std::string answers = probe->Ask("forkexec init;ctx;alloc " + Text(2000 * kMi) + ";alloc " +
                                         Text(1000 * kMi) + ";info");
  EXPECT_EQ(answers.substr(0, 10), "0 0;0;2 0;") << answers;
  EXPECT_EQ(answers.substr(answers.find("2 0;") + 4, 2), "0 ") << answers;
  EXPECT_EQ(UsedByLooking(), kContext + 1000 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(kLimit - kContext - 1000 * kMi)), 0);
}

TEST_F(LifecycleTest, AVforkedChildTakesNothingWithIt) {
  auto probe = Begin(1000 * kMi);
  EXPECT_EQ(probe->Ask("vfork"), std::to_string(3 << 8));
  EXPECT_EQ(probe->Ask("vforkexec"), "0");
  EXPECT_EQ(UsedByLooking(), kContext + 1000 * kMi);
  EXPECT_EQ(probe->Code("alloc " + Text(kLimit - kContext - 1000 * kMi)), 0);
  auto other = container_.Start();
  EXPECT_EQ(other->Code("init"), 0);
  EXPECT_EQ(other->Code("ctx"), 2);  // its lock is still held
}

// The library's memory is the child's, too: what it takes is the parent's.
TEST_F(LifecycleTest, AChildInTheSameMemoryIsAccountedAsItsParent) {
  auto probe = Begin(1000 * kMi);
  const std::string answers =
      probe->Ask("clonevm alloc " + Text(1000 * kMi) + ";alloc " + Text(1000 * kMi));
  EXPECT_EQ(answers.substr(0, 4), "0 0 ") << answers;
  EXPECT_NE(answers.find(";2 0;"), std::string::npos) << answers;
  EXPECT_EQ(UsedByLooking(), kContext + 2000 * kMi);
  EXPECT_EQ(container_.CardUsed(0), kContext + 2000 * kMi);
  probe->Kill();
  EXPECT_EQ(UsedByLooking(), 0u);
}

TEST_F(LifecycleTest, AnExitFromASignalHandlerLeavesNothingBehind) {
  auto neighbour = Begin(100 * kMi);
  for (int i = 0; i < 5; ++i) {
    auto probe = Begin(1000 * kMi);
    probe->Send("exitinhandler");
    ASSERT_TRUE(probe->Answers(KillRounds::kHangSeconds)) << "it hangs in its handler";
  }
  EXPECT_EQ(UsedByLooking(), kContext + 100 * kMi);
  EXPECT_EQ(neighbour->Code("alloc " + Text(kLimit - kContext - 100 * kMi)), 0);
}

TEST_F(LifecycleTest, ADaemonThatClosedAllDescriptorsIsAccountedAsAnybody) {
  auto probe = container_.Start();
  EXPECT_NE(probe->Ask("daemon"), std::to_string(probe->pid()));
  EXPECT_EQ(probe->Code("init"), 0);
  EXPECT_EQ(probe->Code("ctx"), 0);
  probe->Value("alloc " + Text(1000 * kMi));
  auto other = Begin();
  EXPECT_EQ(other->Code("alloc " + Text(2000 * kMi)), 2);
  EXPECT_EQ(container_.region().ext.header.reaped, 0u);
  probe->Send("quit");
  while (UsedByLooking() != kContext) usleep(1000);
  EXPECT_EQ(other->Code("alloc " + Text(2000 * kMi)), 0);
}

// The daemon has inherited lock and mapping of the one that forked, who ends.
TEST_F(LifecycleTest, ADaemonKeepsNothingOfWhatItsParentHeld) {
  auto probe = Begin(1000 * kMi);
  const std::string daemon = probe->Ask("daemon");
  while (UsedByLooking() != 0) usleep(1000);
  EXPECT_EQ(probe->Ask("pid"), daemon) << "it lives";
  EXPECT_EQ(container_.CardUsed(0), 0u);
}

// TRAP A of B4 with whole processes: two dead before B, the newcomer C makes the reference move B's
// slot; what B takes then is booked to E, which keeps it when B has gone.
TEST_F(LifecycleTest, TrapA_TheMovedSlotsPhantomDoesNotExist) {
  auto dead1 = Begin(), dead2 = Begin();
  auto b = Begin(500 * kMi);
  dead1->Kill();
  dead2->Kill();
  auto c = Begin();
  b->Value("alloc " + Text(300 * kMi));
  auto e = Begin();
  EXPECT_EQ(UsedByLooking(), 3 * kContext + 800 * kMi);
  b->Kill();
  EXPECT_EQ(UsedByLooking(), 2 * kContext);
  EXPECT_EQ(e->Code("alloc " + Text(kLimit - 2 * kContext)), 0);
}

}  // namespace
}  // namespace hami::limiter::testing
