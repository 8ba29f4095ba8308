#include "services/region_tool/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/json.h"
#include "platform/region/file_users.h"
#include "platform/region/region_fixture.h"

namespace hami::region_tool {
namespace {

using region::RegionFixture;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

struct Answer {
  int code = -1;
  std::string out, err;
};

class RegionToolTest : public RegionFixture {
 protected:
  Answer Run(std::vector<std::string> words, const char* program = "hami-region") {
    std::vector<const char*> argv{program};
    for (const std::string& word : words) argv.push_back(word.c_str());
    Answer answer;
    FakeClock clock;
    const Outside outside{.out = [&](std::string_view text) { answer.out += text; },
                          .err = [&](std::string_view text) { answer.err += text; },
                          .clock = &clock};
    answer.code = RunRegionTool(static_cast<int>(argv.size()), argv.data(), outside);
    return answer;
  }
  Answer Shrreg(const char* flag) { return Run({flag}, "/usr/bin/shrreg-tool"); }
  std::string Page() const { return folder_ + "/limits.ro"; }
  void CreateBoth() {
    const Answer made =
        Run({"create", path_, "--card", "GPU-a:3000m:30", "--card", "GPU-b:0.5g", "--priority", "0",
             "--limits", Page(), "--region-inside", path_, "--policy", "force", "--oversubscribe"});
    ASSERT_EQ(made.code, kExitOk) << made.err;
  }
};

TEST_F(RegionToolTest, WhatIsCreatedIsInspected) {
  CreateBoth();
  const Answer seen = Run({"inspect", path_, Page()});
  ASSERT_EQ(seen.code, kExitOk) << seen.err;
  EXPECT_THAT(seen.out, HasSubstr("prefix 1.2, own block 1.2, made since this machine's start"));
  EXPECT_THAT(seen.out, HasSubstr("priority  0 (high)"));
  EXPECT_THAT(seen.out, HasSubstr("0     GPU-a  3000 MiB  3000 MiB  0 MiB  3000 MiB  30 %"));
  EXPECT_THAT(seen.out, HasSubstr("1     GPU-b  512 MiB   512 MiB   0 MiB  512 MiB   none"));
  EXPECT_THAT(seen.out, HasSubstr("no process\n"));
  EXPECT_THAT(seen.out, HasSubstr("policy force"));
  EXPECT_THAT(seen.out, HasSubstr("oversubscription yes"));
  EXPECT_THAT(seen.out, HasSubstr("region    " + path_));
  EXPECT_EQ(Run({"verify", path_, Page()}).code, kExitOk);
}

TEST_F(RegionToolTest, CreateNeverTouchesWhatIsThere) {
  CreateBoth();
  const Answer again = Run({"create", path_, "--card", "GPU-a:1m"});
  EXPECT_EQ(again.code, kExitNo);
  EXPECT_THAT(again.err, HasSubstr(path_ + " is there already"));
  EXPECT_EQ(Run({"create", folder_ + "/new", "--card", "GPU-a:1m", "--limits", Page()}).code,
            kExitNo);
  EXPECT_FALSE(RealFileSystem().Exists(folder_ + "/new"));
}

// Complaint: a file that a full disk had left empty was "there already", without a word why.
TEST_F(RegionToolTest, AnEmptyFileIsNamedAsOne) {
  std::ofstream(path_).flush();
  const Answer again = Run({"create", path_, "--card", "GPU-a:1m"});
  EXPECT_EQ(again.code, kExitNo);
  EXPECT_THAT(again.err, HasSubstr(path_ + " is there already, and empty"));
}

// Complaint: a region that nobody had used showed the time of its making as that of a kernel.
TEST_F(RegionToolTest, ARegionThatNobodyUsedSaysSo) {
  ASSERT_EQ(Run({"create", path_, "--card", "GPU-a:1g"}).code, kExitOk);
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("core limit none; no process yet\n"));
  StartProcess(1);
  EndProcess();
  ASSERT_EQ(Run({"clean", path_}).code, kExitOk);
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("core limit none; last kernel "));
}

TEST_F(RegionToolTest, JsonHasEveryByteOfARunningProcess) {
  CreateBoth();
  StartProcess(12345);
  const Answer seen = Run({"inspect", "-o", "json", path_});
  ASSERT_EQ(seen.code, kExitOk) << seen.err;
  const auto json = ParseJson(seen.out);
  ASSERT_TRUE(json) << seen.out;
  EXPECT_THAT(seen.out, HasSubstr("\"layout\":\"v1+own\""));
  EXPECT_THAT(seen.out, HasSubstr("\"pid\":" + std::to_string(child_) + ","));
  EXPECT_THAT(seen.out, HasSubstr("\"life\":\"alive\""));
  EXPECT_THAT(seen.out, HasSubstr("\"dataBytes\":12345"));
  EXPECT_THAT(seen.out, HasSubstr("\"usedBytes\":12345"));
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("12345 B"));
}

TEST_F(RegionToolTest, SetChangesRegionAndPageAndExplainsALimitBelowUse) {
  CreateBoth();
  StartProcess(100 << 20);
  const Answer set =
      Run({"set", path_, Page(), "--card", "GPU-a", "--memory", "50m", "--cores", "60"});
  ASSERT_EQ(set.code, kExitOk) << set.err;
  EXPECT_THAT(set.out, HasSubstr("100 MiB are in use: nothing is taken away"));
  EXPECT_EQ(region::Read(path_)->cards[0].limit, Bytes{50 << 20});
  EXPECT_EQ(region::Read(path_)->cards[0].cores, Percent{60});
  EXPECT_EQ(region::ReadLimits(Page())->cards[0].memory, Bytes{50 << 20});
  EXPECT_EQ(region::ReadLimits(Page())->cards[0].initial_memory, Bytes{3000ll << 20});
  EXPECT_EQ(Run({"set", path_, Page(), "--card", "1", "--memory", "0"}).code, kExitOk);
  EXPECT_EQ(region::Read(path_)->cards[1].limit, Bytes{0});
  EXPECT_EQ(region::ReadLimits(Page())->cards[1].memory, Bytes{0});
}

// Complaint: the region was changed though its page could not be; the smaller of the two holds.
TEST_F(RegionToolTest, SetChangesAllFilesOrNone) {
  CreateBoth();
  const std::string other = folder_ + "/other";
  std::ofstream(other) << "no region";
  const Answer set = Run({"set", path_, other, Page(), "--card", "0", "--memory", "1g"});
  EXPECT_EQ(set.code, kExitFile);
  EXPECT_EQ(set.out, "");
  EXPECT_THAT(set.err,
              AllOf(HasSubstr(other + ": not a region"), HasSubstr("nothing was changed")));
  EXPECT_EQ(region::Read(path_)->cards[0].limit, Bytes{3000ll << 20});
  EXPECT_EQ(region::ReadLimits(Page())->cards[0].memory, Bytes{3000ll << 20});
}

// Complaint: a region was raised above its page, and nothing happened.
TEST_F(RegionToolTest, SetNamesThePageThatHoldsARegionBack) {
  CreateBoth();
  const Answer raised = Run({"set", path_, "--card", "0", "--memory", "5g", "--cores", "20"});
  ASSERT_EQ(raised.code, kExitOk) << raised.err;
  EXPECT_THAT(raised.out, HasSubstr(Page() + ": note: says less for this card, memory 3000 MiB; "
                                             "the smaller holds: set it, too\n"));
  EXPECT_THAT(Run({"set", path_, "--card", "0", "--memory", "1g"}).out,
              Not(HasSubstr("says less")));
  EXPECT_THAT(Run({"set", path_, Page(), "--card", "0", "--memory", "5g"}).out,
              Not(HasSubstr("says less")));
}

// Complaint: set succeeded without a word that the ledger still has the old size.
TEST_F(RegionToolTest, SetSaysThatTheSchedulerCountsWhatItPromised) {
  CreateBoth();
  const Answer set = Run({"set", path_, Page(), "--card", "0", "--memory", "0", "--cores", "0"});
  ASSERT_EQ(set.code, kExitOk) << set.err;
  EXPECT_THAT(set.out, HasSubstr(path_ + ": card 0, memory no limit, cores no limit\n"));
  EXPECT_THAT(set.out, HasSubstr(Page() + ": card 0, memory no limit, cores no limit\n"));
  const size_t note = set.out.find("note: the scheduler does not know of this");
  ASSERT_NE(note, std::string::npos);
  EXPECT_EQ(set.out.find("note: the scheduler", note + 1), std::string::npos);
  EXPECT_THAT(Run({"set", path_, "--card", "q", "--memory", "1g"}).out,
              Not(HasSubstr("scheduler")));
}

// Complaint: root on the host was told that only root on the host may ask.
TEST(WhyHiddenTest, TheRealCauseIsNamed) {
  EXPECT_EQ(region::WhyHidden(true, 0, true), "");
  EXPECT_THAT(
      region::WhyHidden(true, EACCES, false),
      AllOf(HasSubstr("/proc/1/ns/pid"), HasSubstr("Permission denied"), Not(HasSubstr("root"))));
  EXPECT_THAT(region::WhyHidden(false, EACCES, false), HasSubstr("only root"));
  EXPECT_THAT(region::WhyHidden(true, 0, false), HasSubstr("not the machine's own pid namespace"));
}

TEST_F(RegionToolTest, ErrorsNameFileValueAndExpectation) {
  CreateBoth();
  const auto refused = [&](std::vector<std::string> words, const std::string& text) {
    const Answer answer = Run(words);
    EXPECT_EQ(answer.code, kExitUsage);
    EXPECT_THAT(answer.err, HasSubstr(text));
  };
  refused({}, "expected a command");
  refused({"set", path_, "--card", "0"}, "expected what to change");
  refused({"set", path_, "--memory", "1g"}, "expected one --card");
  refused({"set", path_, "--memory", "1g", "--card", "0", "--card", "1"}, "index, not 2");
  refused({"set", path_, "--card", "0", "--memory", "1e9"}, "\"1e9\": expected a size as 3000m");
  refused({"set", path_, "--card", "0", "--memory", "3000"}, "\"3000\" is 3000 bytes: expected");
  refused({"create", folder_ + "/x", "--card", "GPU-a:3000"}, "is 3000 bytes");
  refused({"create", folder_ + "/x", "--card", "GPU-a:1g", "--limits", folder_ + "/x"},
          "cannot be the region and its page");
  refused({"set", path_, "--card", "0", "--cores", "101"}, "101: expected percent from 0 to 100");
  refused({"create", folder_ + "/x"}, "at least one --card");
  refused({"create", folder_ + "/x", "--card", "GPU-a"}, "expected UUID:MEMORY");
  refused({"create", folder_ + "/x", "--card", "GPU-a:1g", "--policy", "of"}, "expected default,");
  refused({"create", folder_ + "/x", "--card", "GPU-a:1g", "--card", "GPU-a:2g"}, "named twice");
  refused({"create", folder_ + "/x", "--card", "GPU-a:1g::2g"}, "2g: expected at most the limit");
  refused({"create", folder_ + "/x", "--card", "GPU-a:1g", "--oversubscribe"},
          "--oversubscribe stands on the page of limits: expected --limits");
  refused({"inspect"}, "expected a file");
  refused({"inspect", path_, "-o", "yaml"}, "expected json");
  const Answer card = Run({"set", path_, "--card", "GPU-q", "--memory", "1g"});
  EXPECT_EQ(card.code, kExitFile);
  EXPECT_THAT(card.err, HasSubstr("no card GPU-q; there are: 0 (GPU-a), 1 (GPU-b)"));
}

TEST_F(RegionToolTest, OneBadFileDoesNotHideTheOthers) {
  CreateBoth();
  const std::string other = folder_ + "/other";
  std::ofstream(other) << "no region";
  const Answer seen = Run({"inspect", other, path_, folder_ + "/absent"});
  EXPECT_EQ(seen.code, kExitFile);
  EXPECT_THAT(seen.err, HasSubstr(other + ": not a region"));
  EXPECT_THAT(seen.err, HasSubstr("absent: No such file"));
  EXPECT_THAT(seen.out, HasSubstr("GPU-a"));
}

TEST_F(RegionToolTest, VerifySaysWhatIsWrong) {
  CreateBoth();
  StartProcess(1000);
  Poke(2009088 + 512, uint64_t{1});
  const Answer wrong = Run({"verify", path_});
  EXPECT_EQ(wrong.code, kExitNo);
  EXPECT_THAT(wrong.out, HasSubstr("problem: card 0: total 1 is below what its processes hold"));
  EXPECT_THAT(wrong.out, HasSubstr(path_ + ": wrong\n"));
}

TEST_F(RegionToolTest, CleanGivesBackWhatTheDeadHeld) {
  CreateBoth();
  StartProcess(1000);
  EndProcess();
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("dead"));
  const Answer cleaned = Run({"clean", path_});
  EXPECT_EQ(cleaned.code, kExitOk);
  EXPECT_THAT(cleaned.out, HasSubstr("1 dead processes cleared, 1 totals lowered"));
  EXPECT_EQ(region::Read(path_)->cards[0].used, Bytes{0});
}

TEST_F(RegionToolTest, AFileThatAProcessMapsIsNotRemoved) {
  if (!region::SeesWholeMachine() || geteuid() != 0) GTEST_SKIP() << "needs root on the host";
  CreateBoth();
  StartProcess(1000);
  const Answer kept = Run({"clean", "--remove-files", path_});
  EXPECT_EQ(kept.code, kExitNo);
  EXPECT_THAT(kept.out, HasSubstr("kept: process " + std::to_string(child_)));
  EndProcess();
  EXPECT_EQ(Run({"clean", "--remove-files", path_}).code, kExitOk);
  EXPECT_FALSE(RealFileSystem().Exists(path_));
}

// The region's user may write whatever he likes into it, also what a terminal obeys.
TEST_F(RegionToolTest, NamesInAFileCannotSteerATerminal) {
  CreateBoth();
  Poke(64, std::array<char, 4>{'\x1b', '[', '2', 'J'});
  EXPECT_THAT(Run({"inspect", path_}).out, Not(HasSubstr("\x1b")));
  EXPECT_THAT(Run({"set", path_, "--card", "x", "--memory", "1m"}).err, Not(HasSubstr("\x1b")));
}

TEST_F(RegionToolTest, FilesOfReferencesAreShown) {
  std::ofstream(path_, std::ios::binary) << region::ReferenceFile();
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("prefix 1.2, no block of ours"));
  EXPECT_EQ(Run({"verify", path_}).code, kExitOk);
  EXPECT_THAT(Run({"clean", path_}).out, HasSubstr("left to whoever made it"));
  std::ofstream(path_, std::ios::binary) << region::AncientFile();
  EXPECT_THAT(Run({"inspect", path_}).out, HasSubstr("prefix of version 0"));
}

TEST_F(RegionToolTest, TheReferencesNameAndFlagsWork) {
  setenv("CUDA_DEVICE_MEMORY_LIMIT", "1g", 1);
  const Answer version = Shrreg("--version");
  EXPECT_EQ(version.out, "shrreg size: 2008952, version 1.2\n");
  EXPECT_EQ(Shrreg("--create_new").code, kExitOk);
  unsetenv("CUDA_DEVICE_MEMORY_LIMIT");
  EXPECT_EQ(region::Read(path_)->cards[0].limit, Bytes{1 << 30});
  StartProcess(5);
  EXPECT_THAT(Shrreg("--print").out, HasSubstr("alive"));
  EXPECT_EQ(Shrreg("--suspend").out, "1 processes suspended\n");
  EXPECT_THAT(Shrreg("--print").out, HasSubstr("alive, suspended"));
  EXPECT_EQ(Shrreg("--resume").out, "1 processes resumed\n");
  EXPECT_EQ(Shrreg("--create_new").code, kExitNo);  // somebody lives in it
  EndProcess();
  EXPECT_EQ(Shrreg("--create_new").code, kExitOk);
  EXPECT_EQ(region::Read(path_)->cards.size(), 0u);
  EXPECT_EQ(Shrreg("--suspnd").code, kExitUsage);
}

TEST_F(RegionToolTest, CreateNewNamesWhatItCannotRead) {
  setenv("CUDA_DEVICE_MEMORY_LIMIT", "1 apple", 1);
  const Answer made = Shrreg("--create_new");
  unsetenv("CUDA_DEVICE_MEMORY_LIMIT");
  EXPECT_EQ(made.code, kExitOk);
  EXPECT_THAT(made.err, HasSubstr("shrreg-tool: invalid value \"1 apple\""));
}

}  // namespace
}  // namespace hami::region_tool
