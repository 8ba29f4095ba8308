#include "limiter/region/attachment.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>

#include "abi/env_names.h"

namespace hami::limiter::region {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;

class AttachmentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/hami-attach-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
    setenv(HAMI_ENV_SHARED_CACHE, (folder_ + "/r.cache").c_str(), 1);
    unsetenv(HAMI_ENV_MEMORY_LIMIT);
    unsetenv(HAMI_ENV_MEMORY_LIMIT_I "0");
    unsetenv(HAMI_ENV_SM_LIMIT);
    unsetenv(HAMI_ENV_CORE_POLICY);
    unsetenv(HAMI_ENV_DISABLE_CONTROL);
  }
  void TearDown() override {
    unlink((folder_ + "/r.cache").c_str());
    unlink((folder_ + "/other.cache").c_str());
    unlink((folder_ + "/" HAMI_LIMITS_FILE).c_str());
    rmdir(folder_.c_str());
    unsetenv(HAMI_ENV_SHARED_CACHE);
    unsetenv(HAMI_ENV_MEMORY_LIMIT_I "0");
    unsetenv(HAMI_ENV_SM_LIMIT);
    unsetenv(HAMI_ENV_CORE_POLICY);
    unsetenv(HAMI_ENV_DISABLE_CONTROL);
  }
  void SetLimit(const char* text) { setenv(HAMI_ENV_MEMORY_LIMIT_I "0", text, 1); }

  // The page as the plugin writes it: one card.
  HamiLimitsPage Page(uint64_t limit, uint64_t initial) {
    HamiLimitsPage page = {};
    page.magic = HAMI_LIMITS_MAGIC;
    page.version = HAMI_LIMITS_VERSION;
    page.size = HAMI_LIMITS_SIZE;
    page.device_count = 1;
    page.priority = 1;
    strcpy(page.devices[0].uuid, "GPU-00000000-0000-0000-0000-000000000001");
    page.devices[0].memory_limit = limit;
    page.devices[0].initial_memory_limit = initial;
    page.devices[0].core_percent = 30;
    return page;
  }
  void WritePage(const HamiLimitsPage& page) {
    std::fstream out(folder_ + "/" HAMI_LIMITS_FILE, std::ios::binary | std::ios::out);
    out.write(reinterpret_cast<const char*>(&page), sizeof page);
  }

  std::string folder_;
};

TEST_F(AttachmentTest, TheCreatorsEnvironmentIsTheLimit) {
  SetLimit("3000m");
  Attachment own;
  ASSERT_TRUE(own.Map());
  EXPECT_EQ(own.limits().Memory(0), 3000 * kMi);
  EXPECT_EQ(own.limits().Memory(1), 0u);
}

TEST_F(AttachmentTest, ALaterProcessMayOnlyAskForLess) {
  SetLimit("3000m");
  Attachment first;
  ASSERT_TRUE(first.Map());
  SetLimit("4000m");
  Attachment higher;
  ASSERT_TRUE(higher.Map());
  EXPECT_EQ(higher.limits().Memory(0), 3000 * kMi);
  SetLimit("1000m");
  Attachment lower;
  ASSERT_TRUE(lower.Map());
  EXPECT_EQ(lower.limits().Memory(0), 1000 * kMi);
  EXPECT_EQ(first.limits().Memory(0), 3000 * kMi);
}

// Issue 2125: a shell without the container's environment must not be without a limit.
TEST_F(AttachmentTest, AProcessWithoutTheEnvironmentHasTheRegionsLimit) {
  SetLimit("3000m");
  Attachment first;
  ASSERT_TRUE(first.Map());
  unsetenv(HAMI_ENV_MEMORY_LIMIT_I "0");
  Attachment second;
  ASSERT_TRUE(second.Map());
  EXPECT_EQ(second.limits().Memory(0), 3000 * kMi);
}

TEST_F(AttachmentTest, AResizeHoldsAtOnceBothWays) {
  SetLimit("3000m");
  Attachment own;
  ASSERT_TRUE(own.Map());
  own.region().v1.limit[0] = 6000 * kMi;
  EXPECT_EQ(own.limits().Memory(0), 6000 * kMi);  // the environment equals the initial limit
  own.region().v1.limit[0] = 1000 * kMi;
  EXPECT_EQ(own.limits().Memory(0), 1000 * kMi);
}

TEST_F(AttachmentTest, TheSmallerOfPageAndRegionHolds) {
  WritePage(Page(2000 * kMi, 2000 * kMi));
  SetLimit("2000m");
  Attachment own;
  ASSERT_TRUE(own.Map());
  EXPECT_EQ(own.limits().Memory(0), 2000 * kMi);
  own.region().v1.limit[0] = 9000 * kMi;  // a user who edits the region
  EXPECT_EQ(own.limits().Memory(0), 2000 * kMi);
  own.region().v1.limit[0] = 0;
  EXPECT_EQ(own.limits().Memory(0), 2000 * kMi);
}

TEST_F(AttachmentTest, ThePageIsFollowedWhenItIsWrittenInPlace) {
  WritePage(Page(2000 * kMi, 2000 * kMi));
  SetLimit("2000m");
  Attachment own;
  ASSERT_TRUE(own.Map());
  std::fstream page(folder_ + "/" HAMI_LIMITS_FILE,
                    std::ios::binary | std::ios::in | std::ios::out);
  const uint64_t larger = 5000 * kMi;
  page.seekp(512 + 96);
  page.write(reinterpret_cast<const char*>(&larger), sizeof larger);
  page.flush();
  own.region().v1.limit[0] = larger;
  EXPECT_EQ(own.limits().Memory(0), larger);
}

TEST_F(AttachmentTest, ThePageFollowsTheCardNotThePosition) {
  WritePage(Page(2000 * kMi, 2000 * kMi));
  Attachment own;
  ASSERT_TRUE(own.Map());
  HamiV1Region& v1 = own.region().v1;
  strcpy(v1.uuids[0], "GPU-00000000-0000-0000-0000-00000000000f");
  strcpy(v1.uuids[1], "GPU-00000000-0000-0000-0000-000000000001");
  v1.limit[0] = 0;
  own.limits().BindCards();
  EXPECT_EQ(own.limits().Memory(0), 0u);
  EXPECT_EQ(own.limits().Memory(1), 2000 * kMi);
}

TEST_F(AttachmentTest, ThePageNamesTheRegionSoThatNobodyGetsASecondOne) {
  HamiLimitsPage page = Page(2000 * kMi, 2000 * kMi);
  strcpy(page.region_path, (folder_ + "/r.cache").c_str());
  WritePage(page);
  setenv(HAMI_ENV_SHARED_CACHE, (folder_ + "/other.cache").c_str(), 1);
  Attachment own;
  ASSERT_TRUE(own.Map());
  EXPECT_EQ(access((folder_ + "/r.cache").c_str(), F_OK), 0);
  EXPECT_NE(access((folder_ + "/other.cache").c_str(), F_OK), 0);
}

TEST_F(AttachmentTest, SwitchingOffNeedsTheAdministratorsLeave) {
  setenv(HAMI_ENV_DISABLE_CONTROL, "true", 1);
  Attachment without_page;
  testing::internal::CaptureStderr();
  EXPECT_TRUE(without_page.Map());
  EXPECT_NE(testing::internal::GetCapturedStderr().find(HAMI_ENV_DISABLE_CONTROL),
            std::string::npos);
  HamiLimitsPage page = Page(kMi, kMi);
  page.switches = HAMI_LIMITS_ALLOW_DISABLE_CONTROL;
  WritePage(page);
  Attachment with_leave;
  EXPECT_FALSE(with_leave.Map());
  EXPECT_FALSE(with_leave.Join());
}

TEST_F(AttachmentTest, AnUnusablePathFallsBackWithOneErrorLine) {
  setenv(HAMI_ENV_SHARED_CACHE, (folder_ + "/missing/r.cache").c_str(), 1);
  SetLimit("100m");
  const pid_t child = fork();  // of its own, because the default region is the machine's
  if (child == 0) {
    testing::internal::CaptureStderr();
    Attachment own;
    const bool mapped = own.Map();
    const std::string said = testing::internal::GetCapturedStderr();
    const bool named = said.find("/missing/r.cache") != std::string::npos;
    _exit(mapped && named && own.limits().Memory(0) != 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(AttachmentTest, AForkedChildTakesASlotOfItsOwn) {
  Attachment own;
  ASSERT_TRUE(own.Join());
  ASSERT_TRUE(Account<>::Begin(own.words(0), 100, 0));
  Account<>::Commit(own.words(0), HAMI_KIND_DATA, 100, 100);
  const pid_t child = fork();
  if (child == 0) {
    own.AfterFork();
    const bool joined = own.Join();
    const auto words = own.words(0);
    const bool empty = words.own->bytes[HAMI_KIND_DATA] == 0;
    _exit(joined && empty && own.Used(0) == 100 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  own.Settle(0);
  EXPECT_EQ(own.Used(0), 100u);
  EXPECT_EQ(own.region().ext.header.reaped, 1u);  // the child's
}

// Locks on another file say nothing about this region: a neighbour there would seem to live or to
// be dead by mistake.
TEST_F(AttachmentTest, AForkedChildTakesNoLockOnAFileThatReplacedItsRegion) {
  Attachment own;
  ASSERT_TRUE(own.Join());
  const std::string path = folder_ + "/r.cache";
  ASSERT_EQ(rename(path.c_str(), (folder_ + "/other.cache").c_str()), 0);
  Attachment newcomer;
  ASSERT_TRUE(newcomer.Join());
  const pid_t child = fork();
  if (child == 0) {
    own.AfterFork();
    const bool joined = own.Join();
    _exit(joined && own.region().ext.header.reaped == 0 ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(newcomer.region().v1.proc_num, 1);
  newcomer.Settle(0);
  EXPECT_EQ(newcomer.region().ext.header.reaped, 0u);
  EXPECT_EQ(own.region().v1.proc_num, 2);  // the child's slot is in its own region
}

// Programs that become daemons close every descriptor.
TEST_F(AttachmentTest, ALostLockIsTakenAgain) {
  Attachment own;
  ASSERT_TRUE(own.Join());
  for (int fd = 500; fd < 600; ++fd) close(fd);
  own.Settle(0);
  Attachment other;
  ASSERT_TRUE(other.Join());
  own.region().ext.slots[0].pidns_inode += 1;  // only the lock can tell now
  own.region().ext.slots[0].free_seen_ns = 1;
  other.Settle(0);
  EXPECT_EQ(own.region().ext.header.reaped, 0u);
}

TEST_F(AttachmentTest, TheCoreLimitOfTheFirstEnvironmentMayBeRaisedLater) {
  setenv(HAMI_ENV_SM_LIMIT, "30", 1);
  Attachment first;
  ASSERT_TRUE(first.Map());
  EXPECT_EQ(first.limits().CorePercent(0), 30u);
  EXPECT_EQ(first.limits().CorePercent(15), 30u);
  first.region().v1.sm_limit[0] = 80;
  EXPECT_EQ(first.limits().CorePercent(0), 80u);
  first.region().v1.sm_limit[0] = 0;
  EXPECT_EQ(first.limits().CorePercent(0), 100u);
}

TEST_F(AttachmentTest, ALowerCoreLimitInAProcessesOwnEnvironmentHolds) {
  setenv(HAMI_ENV_SM_LIMIT, "30", 1);
  Attachment first;
  ASSERT_TRUE(first.Map());
  setenv(HAMI_ENV_SM_LIMIT, "10", 1);
  Attachment lower;
  ASSERT_TRUE(lower.Map());
  EXPECT_EQ(lower.limits().CorePercent(0), 10u);
  setenv(HAMI_ENV_SM_LIMIT, "90", 1);
  Attachment higher;
  ASSERT_TRUE(higher.Map());
  EXPECT_EQ(higher.limits().CorePercent(0), 30u);
}

TEST_F(AttachmentTest, TheSmallerCorePercentOfPageAndRegionHolds) {
  WritePage(Page(2000 * kMi, 2000 * kMi));
  Attachment own;
  ASSERT_TRUE(own.Map());
  EXPECT_EQ(own.limits().CorePercent(0), 30u);
  own.region().v1.sm_limit[0] = 20;
  EXPECT_EQ(own.limits().CorePercent(0), 20u);
  own.region().v1.sm_limit[0] = 100;
  EXPECT_EQ(own.limits().CorePercent(0), 30u);
}

TEST_F(AttachmentTest, ThePagesCorePolicyWinsOverTheEnvironments) {
  setenv(HAMI_ENV_CORE_POLICY, "disable", 1);
  Attachment alone;
  ASSERT_TRUE(alone.Map());
  EXPECT_EQ(alone.limits().CorePolicy(), uint32_t{HAMI_POLICY_DISABLE});
  HamiLimitsPage page = Page(2000 * kMi, 2000 * kMi);
  page.policy = HAMI_POLICY_FORCE;
  WritePage(page);
  Attachment with_page;
  ASSERT_TRUE(with_page.Map());
  EXPECT_EQ(with_page.limits().CorePolicy(), uint32_t{HAMI_POLICY_FORCE});
}

// A file of minor 0 has zeros where the core limit's words are.
TEST_F(AttachmentTest, AFileWithoutTheCoreLimitsWordsKeepsItsLimitAndItsResize) {
  setenv(HAMI_ENV_SM_LIMIT, "30", 1);
  {
    Attachment maker;
    ASSERT_TRUE(maker.Map());
    maker.region().ext.header.ext_minor = 0;
    maker.region().ext.header.devices[0].initial_core = 0;
  }
  Attachment later;
  ASSERT_TRUE(later.Map());
  EXPECT_EQ(later.limits().CorePercent(0), 30u);
  later.region().v1.sm_limit[0] = 60;
  EXPECT_EQ(later.limits().CorePercent(0), 60u);
}

}  // namespace
}  // namespace hami::limiter::region
