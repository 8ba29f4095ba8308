#include "limiter/region/identity.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>

namespace hami::limiter::region {
namespace {

TEST(IdentityTest, TheNameOfAProgramMayHoldAnything) {
  Stat stat;
  ASSERT_TRUE(ParseStat(
      "12 (a ) R 1 (b) S 1 12 12 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 7 0 123456 9", stat));
  EXPECT_EQ(stat.state, 'S');
  EXPECT_EQ(stat.threads, 7u);
  EXPECT_EQ(stat.start_ticks, 123456u);
  EXPECT_FALSE(ParseStat("no such form", stat));
  EXPECT_FALSE(ParseStat("12 (x) S 1 2", stat));
}

TEST(IdentityTest, OneselfIsAlive) {
  const Identity self = OwnIdentity();
  EXPECT_EQ(self.pid, getpid());
  EXPECT_NE(self.pidns_inode, 0u);
  EXPECT_NE(self.start_ticks, 0u);
  EXPECT_EQ(LifeOf(self, self), Life::kAlive);
}

// A child that stops at `pause` until it is killed.
pid_t StartSleeper() {
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  return child;
}

Identity IdentityOf(pid_t pid, const Identity& self) {
  Identity other = self;
  other.pid = pid;
  FILE* file = fopen(("/proc/" + std::to_string(pid) + "/stat").c_str(), "r");
  char text[512] = {};
  if (file == nullptr || fread(text, 1, sizeof text - 1, file) == 0) ADD_FAILURE();
  if (file != nullptr) fclose(file);
  Stat stat;
  EXPECT_TRUE(ParseStat(text, stat));
  other.start_ticks = stat.start_ticks;
  return other;
}

TEST(IdentityTest, AKilledChildIsDeadAsAZombieAndAfter) {
  const Identity self = OwnIdentity();
  const pid_t child = StartSleeper();
  const Identity other = IdentityOf(child, self);
  EXPECT_EQ(LifeOf(other, self), Life::kAlive);
  kill(child, SIGKILL);
  siginfo_t info;
  waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT);  // leaves the zombie
  EXPECT_EQ(LifeOf(other, self), Life::kDead);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(LifeOf(other, self), Life::kDead);
}

TEST(IdentityTest, AStoppedProcessIsAliveAndStandsStill) {
  const Identity self = OwnIdentity();
  const pid_t child = fork();
  if (child == 0) {
    for (;;) pause();
  }
  const Identity other = IdentityOf(child, self);
  EXPECT_FALSE(IsStopped(other, self));
  kill(child, SIGSTOP);
  waitpid(child, nullptr, WUNTRACED);
  EXPECT_TRUE(IsStopped(other, self));
  EXPECT_EQ(LifeOf(other, self), Life::kAlive);
  Identity elsewhere = other;
  elsewhere.pidns_inode += 1;
  EXPECT_FALSE(IsStopped(elsewhere, self));
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_FALSE(IsStopped(other, self));
}

// TRAP C of B4: a recycled pid keeps a dead process's account alive in the reference.
TEST(IdentityTest, TrapC_AnotherProcessUnderTheSamePidIsNotTheOwner) {
  const Identity self = OwnIdentity();
  Identity former = self;
  former.start_ticks -= 1;
  EXPECT_EQ(LifeOf(former, self), Life::kDead);
}

// TRAP C of B4: pids of another namespace mean other processes here.
TEST(IdentityTest, TrapC_AnotherPidNamespaceCannotBeTold) {
  const Identity self = OwnIdentity();
  Identity elsewhere = self;
  elsewhere.pidns_inode += 1;
  EXPECT_EQ(LifeOf(elsewhere, self), Life::kUnknown);
  elsewhere.pidns_inode = 0;
  EXPECT_EQ(LifeOf(elsewhere, self), Life::kUnknown);
}

// A thread that goes on when main has left by pthread_exit: the leader is a zombie, the process is
// not, and its device memory is still there.
TEST(IdentityTest, AZombieLeaderWithLivingThreadsIsAlive) {
  const Identity self = OwnIdentity();
  const pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    pthread_create(
        &thread, nullptr,
        [](void*) -> void* {
          for (;;) pause();
        },
        nullptr);
    syscall(SYS_exit, 0);  // of this thread alone
  }
  const Identity other = IdentityOf(child, self);
  const std::string path = "/proc/" + std::to_string(child) + "/stat";
  Stat stat;
  do {  // until the leader has gone
    FILE* file = fopen(path.c_str(), "r");
    char text[512] = {};
    ASSERT_NE(file, nullptr);
    ASSERT_GT(fread(text, 1, sizeof text - 1, file), 0u);
    fclose(file);
    ASSERT_TRUE(ParseStat(text, stat));
  } while (stat.state != 'Z');
  EXPECT_EQ(LifeOf(other, self), Life::kAlive);
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  EXPECT_EQ(LifeOf(other, self), Life::kDead);
}

}  // namespace
}  // namespace hami::limiter::region
