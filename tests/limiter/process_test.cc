// Spec D2.4 and D2.7: many processes, threads, kills, forks and namespaces on one account.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "limiter/region/attachment.h"
#include "tests/limiter/session.h"

namespace hami::limiter::testing {
namespace {

class ProcessTest : public ::testing::Test {
 protected:
  static constexpr uint64_t kLimit = 3000 * kMi;
  std::vector<std::unique_ptr<Probe>> Begin(int count) {
    std::vector<std::unique_ptr<Probe>> probes;
    for (int i = 0; i < count; ++i) {
      probes.push_back(container_.Start());
      probes.back()->Begin();
    }
    return probes;
  }
  // What the next process that looks reads, exactly.
  uint64_t UsedAfterSettling() {
    setenv("CUDA_DEVICE_MEMORY_SHARED_CACHE", container_.region_path().c_str(), 1);
    region::Attachment newcomer;
    EXPECT_TRUE(newcomer.Join());
    newcomer.Settle(0);
    return newcomer.Used(0);
  }
  Container container_{Variables{{"CUDA_DEVICE_MEMORY_LIMIT_0", "3000m"}}};
};

TEST_F(ProcessTest, EightProcessesOfFourThreadsKeepTheLimitTogether) {
  auto probes = Begin(8);
  for (auto& probe : probes) probe->Send("stress 4 4 " + Text(300 * kMi));
  uint64_t granted = 0, refused = 0;
  for (auto& probe : probes) {
    uint64_t g = 0, r = 0, failed = 0;
    std::istringstream(probe->Receive()) >> g >> r >> failed;
    granted += g;
    refused += r;
    EXPECT_EQ(failed, 0u);
  }
  EXPECT_GT(granted, 0u);
  EXPECT_GT(refused, 0u);
  EXPECT_LE(container_.CardPeak(0), kLimit);
  EXPECT_GT(container_.CardPeak(0), kLimit - 300 * kMi);
  EXPECT_EQ(container_.Used(0), 8 * kContext);
  EXPECT_EQ(container_.CardUsed(0), 8 * kContext);
  EXPECT_EQ(container_.region().ext.header.saturated, 0u);
}

// Issue 3: after kill -9 of all, the next process that looks reads an exact account.
TEST_F(ProcessTest, AfterKillingAllInFullSwingTheBooksAreExact) {
  for (int round = 0; round < 5; ++round) {
    auto probes = Begin(8);
    const uint64_t changes = container_.region().ext.header.devices[0].used_total >> 48;
    for (auto& probe : probes) probe->Send("stress 60 2 " + Text(100 * kMi));
    // In full swing: the tag of the total has moved on by far more than one operation each.
    while (((container_.region().ext.header.devices[0].used_total >> 48) - changes) % 65536 <
           2000) {
      usleep(1000);
    }
    for (auto& probe : probes) probe->Kill();
    EXPECT_EQ(UsedAfterSettling(), 0u);
    EXPECT_EQ(container_.CardUsed(0), 0u);
  }
  EXPECT_LE(container_.CardPeak(0), kLimit);
  EXPECT_EQ(container_.region().ext.header.saturated, 0u);
}

// Found end to end: nvidia-smi, which allocates nothing, went on showing what the dead had used.
TEST_F(ProcessTest, AProcessThatOnlyLooksReadsWhatLives) {
  auto probes = Begin(2);
  for (auto& probe : probes) probe->Value("alloc " + Text(1000 * kMi));
  for (auto& probe : probes) probe->Kill();
  auto looker = container_.Start();
  const std::string memory = looker->Ask("nvmlmem 0");
  EXPECT_EQ(memory, "0 " + Text(kLimit) + " " + Text(kLimit) + " 0") << "code total free used";
}

TEST_F(ProcessTest, ADeadProcessesShareIsThereForTheNextRequest) {
  auto probes = Begin(2);
  probes[0]->Value("alloc " + Text(2000 * kMi));
  EXPECT_EQ(probes[1]->Code("alloc " + Text(1000 * kMi)), 2);
  probes[0]->Kill();
  EXPECT_EQ(probes[1]->Code("alloc " + Text(1000 * kMi)), 0);
  EXPECT_EQ(container_.Used(0), kContext + 1000 * kMi);
}

TEST_F(ProcessTest, AStoppedProcessHoldsNobodyUp) {
  auto probes = Begin(3);
  probes[0]->Send("stress 3600 2 " + Text(10 * kMi));
  probes[1]->Value("alloc " + Text(100 * kMi));
  kill(probes[0]->pid(), SIGSTOP);
  for (int i = 0; i < 1000; ++i) {
    const uint64_t pointer = probes[1]->Value("alloc 4096");
    ASSERT_EQ(probes[1]->Code("free " + Text(pointer)), 0);
  }
  EXPECT_EQ(probes[2]->Code("alloc " + Text(kLimit)), 2);
  kill(probes[0]->pid(), SIGCONT);
}

// A neighbour's oversized request must not make a small one fail.
TEST_F(ProcessTest, OversizedRequestsDoNotDisturbSmallOnes) {
  auto probes = Begin(2);
  probes[0]->Send("stress 2 4 " + Text(100 * kLimit));
  uint64_t failures = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string answer = probes[1]->Ask("alloc 4096");
    if (answer.substr(0, 2) != "0 ") {
      ++failures;
      continue;
    }
    probes[1]->Ask("free " + answer.substr(2));
  }
  probes[0]->Receive();
  EXPECT_EQ(failures, 0u);
}

TEST_F(ProcessTest, AForkedChildStartsWithAnEmptyAccount) {
  auto probe = container_.Start();
  probe->Begin();
  const uint64_t pointer = probe->Value("alloc " + Text(100 * kMi));
  // A child may not use the parent's context; what it frees of it must not be booked.
  const std::string answers = probe->Ask("fork pid;info;free " + Text(pointer));
  EXPECT_EQ(container_.Used(0), kContext + 100 * kMi) << answers;
  EXPECT_EQ(probe->Code("free " + Text(pointer)), 0);
  EXPECT_EQ(container_.Used(0), kContext);
  EXPECT_EQ(container_.region().ext.header.saturated, 0u);
}

TEST_F(ProcessTest, AForkBeforeTheFirstUseMakesTwoIndependentProcesses) {
  auto probe = container_.Start();
  const std::string answers = probe->Ask("fork init;ctx;alloc " + Text(kMi));
  EXPECT_EQ(answers.substr(0, 4), "0;0;");
  probe->Begin();
  EXPECT_EQ(UsedAfterSettling(), kContext);
}

// The pid and its start time outlive an exec; what the program before it held does not.
TEST_F(ProcessTest, AProgramThatReplacesItselfLeavesNothingBehind) {
  auto probe = container_.Start();
  probe->Begin();
  probe->Value("alloc " + Text(1000 * kMi));
  const std::string pid = probe->Ask("pid");
  EXPECT_EQ(probe->Code("exec"), 0);
  EXPECT_EQ(probe->Ask("pid"), pid);
  EXPECT_EQ(probe->Ask("nvmlmem 0"), "0 " + Text(kLimit) + " " + Text(kLimit) + " 0");
  probe->Begin();
  EXPECT_EQ(probe->Code("alloc " + Text(kLimit - kContext)), 0);
  EXPECT_EQ(container_.Used(0), kLimit);
}

// TRAP C of B4: a file shared between pid namespaces.
TEST_F(ProcessTest, TrapC_ProcessesOfAnotherPidNamespaceShareTheLimit) {
  auto inside = container_.Start({{"PROBE_UNSHARE", "1"}});
  if (inside->Ask("pid") != "1") GTEST_SKIP() << "no right to make a pid namespace";
  inside->Begin();
  inside->Value("alloc " + Text(2000 * kMi));
  auto outside = container_.Start();
  outside->Begin();
  EXPECT_EQ(outside->Code("alloc " + Text(1000 * kMi)),
            2);  // alive, though its pid means nothing here
  EXPECT_EQ(container_.Used(0), 2 * kContext + 2000 * kMi);
}

TEST_F(ProcessTest, ADaemonThatClosedEverythingKeepsItsAccount) {
  auto daemon = container_.Start();
  daemon->Begin();
  daemon->Value("alloc " + Text(2000 * kMi));
  EXPECT_EQ(daemon->Ask("closeregion"), "0");
  auto other = container_.Start();
  other->Begin();
  EXPECT_EQ(other->Code("alloc " + Text(1000 * kMi)), 2);
  EXPECT_EQ(container_.region().ext.header.reaped, 0u);
  EXPECT_EQ(daemon->Code("alloc " + Text(1000 * kMi)), 2);  // takes its lock again on the way
}

}  // namespace
}  // namespace hami::limiter::testing
