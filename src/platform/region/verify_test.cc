#include "platform/region/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "platform/region/region_fixture.h"

namespace hami::region {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr size_t kBlock = 2009088;

class VerifyTest : public RegionFixture {
 protected:
  std::vector<std::string> Found(Severity severity) {
    const auto region = MappedRegion::Open(path_, false);
    EXPECT_TRUE(region);
    std::vector<std::string> texts;
    for (const Finding& finding : Verify(*region)) {
      if (finding.severity == severity) texts.push_back(finding.what);
    }
    return texts;
  }
};

TEST_F(VerifyTest, ANewRegionAndOneInUseAreRight) {
  MakeRegion();
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  StartProcess(1000);
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  EXPECT_THAT(Found(Severity::kNote), IsEmpty());
}

TEST_F(VerifyTest, ATotalThatDoesNotFitTheSlotsIsAProblem) {
  MakeRegion();
  StartProcess(1000);
  Poke(kBlock + 512, uint64_t{999});
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("below what its processes hold")));
  Poke(kBlock + 512, uint64_t{1001});
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("above what its processes hold")));
  Mapped().Clean();
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
}

TEST_F(VerifyTest, WhatTheDeadHoldIsANote) {
  MakeRegion();
  StartProcess(1000);
  EndProcess();
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  EXPECT_THAT(Found(Severity::kNote), Contains(HasSubstr("1 slots of dead processes hold 1000")));
}

TEST_F(VerifyTest, AMirrorThatOldReadersWouldMisreadIsAProblem) {
  MakeRegion();
  StartProcess(1000);
  Poke(1856 + 8 + 32, uint64_t{1});
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("old readers see 1 bytes")));
}

TEST_F(VerifyTest, HeadersThatCannotBeAreProblems) {
  MakeRegion();
  Poke(kBlock + 128, uint64_t{3});
  Poke(56, uint64_t{17});
  Poke(2008896, int32_t{-1});
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("limits_seq is odd")));
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("device_num is 17")));
  EXPECT_THAT(Found(Severity::kProblem), Contains(HasSubstr("proc_num is -1")));
}

TEST_F(VerifyTest, UseAboveALoweredLimitIsANote) {
  MakeRegion();
  StartProcess(1000);
  ASSERT_TRUE(Mapped().Change(0, {.memory = Bytes{600}}));
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  EXPECT_THAT(Found(Severity::kNote), Contains(HasSubstr("400 bytes more than its limit")));
}

TEST_F(VerifyTest, AReferencesFileAndANewerBlockAreNotJudged) {
  std::ofstream(path_, std::ios::binary) << ReferenceFile();
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  std::filesystem::remove(path_);
  MakeRegion();
  Poke(kBlock + 80, uint32_t{1280});
  EXPECT_THAT(Found(Severity::kProblem), IsEmpty());
  EXPECT_THAT(Found(Severity::kNote), Contains(HasSubstr("does not know")));
}

}  // namespace
}  // namespace hami::region
