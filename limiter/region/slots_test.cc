#include "limiter/region/slots.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>

#include "limiter/region/file.h"
#include "limiter/region/lock.h"

namespace hami::limiter::region {
namespace {

// A region file and children that take slots of it.
class SlotsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-slots-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_GE(fd, 0);
    close(fd);
    path_ = name;
    opened_ = OpenRegion(path_.c_str(), {});
    ASSERT_EQ(opened_.error, 0);
    slots_.Bind(opened_.region, opened_.lock_fd, OwnIdentity());
  }
  void TearDown() override {
    close(opened_.lock_fd);
    unlink(path_.c_str());
  }

  HamiExtSlot& Slot(int index) { return opened_.region->ext.slots[index]; }
  HamiV1Slot& Mirror(int index) { return opened_.region->v1.procs[index]; }
  Account<>::Words Words(int index) {
    return {&opened_.region->ext.header, &opened_.region->ext.header.devices[0],
            &Slot(index).device[0],      &Slot(index).pending[0],
            &Mirror(index).used[0],      &turn_};
  }
  uint64_t Used() { return BytesOf(opened_.region->ext.header.devices[0].used_total); }
  void Repair() { Account<>::Repair(*opened_.region, 0); }

  struct Child {
    pid_t pid;
    int slot;
  };
  // A child with a description of its own that claims a slot, takes `bytes`, and stays.
  Child Start(uint64_t bytes, const std::function<void(int lock_fd)>& then = {}) {
    int ready[2];
    EXPECT_EQ(pipe(ready), 0);
    const pid_t pid = fork();
    if (pid == 0) {
      close(opened_.lock_fd);
      const int fd = OpenLock(path_.c_str());
      Slots own;
      own.Bind(opened_.region, fd, OwnIdentity());
      const int slot = own.Claim();
      if (slot >= 0 && bytes != 0) {
        Account<>::Begin(Words(slot), bytes, 0);
        Account<>::Commit(Words(slot), HAMI_KIND_DATA, bytes, bytes);
      }
      if (then) then(fd);
      if (write(ready[1], &slot, sizeof slot) != sizeof slot) _exit(1);
      for (;;) pause();
    }
    int slot = -1;
    EXPECT_EQ(read(ready[0], &slot, sizeof slot), static_cast<ssize_t>(sizeof slot));
    close(ready[0]);
    close(ready[1]);
    return {pid, slot};
  }
  static void Kill(const Child& child) {
    kill(child.pid, SIGKILL);
    waitpid(child.pid, nullptr, 0);
  }

  std::string path_;
  Opened opened_;
  sys::ShortLock turn_;
  Slots slots_;
};

TEST_F(SlotsTest, AClaimedSlotIsPublishedForOldReaders) {
  const int slot = slots_.Claim();
  ASSERT_EQ(slot, 0);
  EXPECT_EQ(Slot(0).state, static_cast<uint32_t>(HAMI_SLOT_LIVE));
  EXPECT_EQ(Mirror(0).pid, getpid());
  EXPECT_EQ(Mirror(0).status, HAMI_V1_RUNNING);
  EXPECT_EQ(opened_.region->v1.proc_num, 1);
}

TEST_F(SlotsTest, LivingProcessesAreNeverReaped) {
  const Child a = Start(100);
  const Child b = Start(50);
  EXPECT_NE(a.slot, b.slot);
  EXPECT_EQ(slots_.Reap(-1, 1'000'000'000'000), 0u);
  EXPECT_EQ(Used(), 150u);
  Kill(a);
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
  Repair();
  EXPECT_EQ(Used(), 50u);
  EXPECT_EQ(Mirror(a.slot).pid, 0);
  EXPECT_EQ(Mirror(a.slot).status, HAMI_V1_ENDED);
  Kill(b);
}

// TRAP A of B4: the reference moves the last slot into a hole; its owner's pointer then points to
// somebody else's books.
TEST_F(SlotsTest, TrapA_SlotsNeverMove) {
  const Child dead1 = Start(1);
  const Child dead2 = Start(2);
  const Child b = Start(500);
  Kill(dead1);
  Kill(dead2);
  const Child c = Start(7);  // the newcomer that moved B in the reference
  EXPECT_EQ(slots_.Reap(-1, 1), 2u);
  Repair();
  EXPECT_EQ(Mirror(b.slot).pid, b.pid);
  EXPECT_EQ(Mirror(b.slot).used[0].total, 500u);
  EXPECT_EQ(Used(), 507u);
  Kill(b);
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
  Repair();
  EXPECT_EQ(Used(), 7u);
  Kill(c);
}

// TRAP B of B4: the reference sweeps without a lock. Here a slot's byte excludes two reapers.
TEST_F(SlotsTest, TrapB_TwoReapersDoNotReapOneSlotTwice) {
  const Child dead = Start(9);
  Kill(dead);
  const int other = OpenLock(path_.c_str());
  Slots second;
  second.Bind(opened_.region, other, OwnIdentity());
  EXPECT_EQ(slots_.Reap(-1, 1) + second.Reap(-1, 1), 1u);
  EXPECT_EQ(opened_.region->ext.header.reaped, 1u);
  close(other);
}

// A reaper may be stopped anywhere: whatever it had done by then, others are not misled.
TEST_F(SlotsTest, ASlotInTheHandsOfAStoppedReaperIsToldAndNoLongerCounted) {
  const Child dead = Start(9);
  Kill(dead);
  const int other = OpenLock(path_.c_str());
  EXPECT_EQ(slots_.BytesOfTheDead(-1, 0), 9u);
  const auto byte = HAMI_LOCK_SLOTS + static_cast<uint64_t>(dead.slot);
  ASSERT_TRUE(TryLockRange(other, byte, 1));  // stopped before it looked
  EXPECT_EQ(slots_.Reap(-1, 1), 0u);
  EXPECT_EQ(slots_.BytesOfTheDead(-1, 0), 9u);
  Repair();
  EXPECT_EQ(Used(), 9u);
  Slot(dead.slot).state = HAMI_SLOT_REAPING;  // stopped later
  EXPECT_EQ(slots_.Reap(-1, 1), 0u);
  EXPECT_EQ(slots_.BytesOfTheDead(-1, 0), 0u);
  Repair();
  EXPECT_EQ(Used(), 0u);
  close(other);  // it dies
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
}

// TRAP D of B4: a process killed in the middle of its books makes the others hang in the reference.
TEST_F(SlotsTest, TrapD_DeathInTheMiddleOfAnOperationIsRepaired) {
  const Child dead = Start(0, [this](int) { Account<>::Begin(Words(0), 300, 0); });
  ASSERT_EQ(dead.slot, 0);
  EXPECT_EQ(Used(), 300u);
  Kill(dead);
  slots_.Reap(-1, 1);
  Repair();
  EXPECT_EQ(Used(), 0u);
}

TEST_F(SlotsTest, AnInterruptedReapIsBegunAgain) {
  const Child dead = Start(64);
  Kill(dead);
  Slot(dead.slot).state = HAMI_SLOT_REAPING;  // as a reaper left it that was killed
  Slot(dead.slot).pid = getpid();             // whatever the identity says by now
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
  Repair();
  EXPECT_EQ(Used(), 0u);
}

TEST_F(SlotsTest, AProcessThatLostItsLockButLivesIsNotReaped) {
  const Child daemon = Start(100, [](int lock_fd) { close(lock_fd); });
  EXPECT_EQ(slots_.Reap(-1, 1), 0u);
  EXPECT_EQ(slots_.Reap(-1, 1'000'000'000'000), 0u);
  EXPECT_EQ(Used(), 100u);
  Kill(daemon);
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
}

// TRAP C of B4: what cannot be told is dead only when its byte has stayed free for five seconds.
TEST_F(SlotsTest, TrapC_AForeignNamespaceIsDeadAfterFiveSecondsOfAFreeByte) {
  const Child dead = Start(100);
  Slot(dead.slot).pidns_inode += 1;
  constexpr uint64_t kStart = 1'000'000'000'000;
  EXPECT_EQ(slots_.Reap(-1, kStart), 0u);  // the byte is held
  Kill(dead);
  EXPECT_EQ(slots_.Reap(-1, kStart), 0u);
  EXPECT_EQ(slots_.Reap(-1, kStart + Slots::kUnknownGraceNs - 1), 0u);
  EXPECT_EQ(slots_.Reap(-1, kStart + Slots::kUnknownGraceNs), 1u);
}

TEST_F(SlotsTest, AForkedChildThatClosedItsCopyDoesNotKeepTheParentsLock) {
  int ready[2];
  ASSERT_EQ(pipe(ready), 0);
  const Child parent = Start(100, [&ready](int slot_fd) {
    const pid_t child = fork();
    if (child == 0) {
      close(slot_fd);
      const pid_t self = getpid();
      if (write(ready[1], &self, sizeof self) != sizeof self) _exit(1);
      for (;;) pause();
    }
  });
  pid_t child = 0;
  ASSERT_EQ(read(ready[0], &child, sizeof child), static_cast<ssize_t>(sizeof child));
  Kill(parent);
  EXPECT_EQ(slots_.Reap(-1, 1), 1u);
  kill(child, SIGKILL);
  close(ready[0]);
  close(ready[1]);
}

TEST_F(SlotsTest, AllSlotsTakenIsToldAndADeadOneIsFoundAgain) {
  const Child dead = Start(1);
  for (int i = 0; i < HAMI_EXT_SLOTS; ++i) {
    if (i != dead.slot) Slot(i).state = HAMI_SLOT_LIVE;
    if (i != dead.slot) Slot(i).pidns_inode = 1;
    if (i != dead.slot) Slot(i).free_seen_ns = UINT64_MAX / 2;  // not yet dead for long
  }
  opened_.region->v1.proc_num = HAMI_EXT_SLOTS;
  EXPECT_EQ(slots_.Claim(), -1);
  Kill(dead);
  EXPECT_EQ(slots_.Claim(), dead.slot);
}

}  // namespace
}  // namespace hami::limiter::region
