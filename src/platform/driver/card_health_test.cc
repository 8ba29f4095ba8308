#include "platform/driver/card_health.h"

#include <gtest/gtest.h>

#include "platform/driver/nvidia_xid.h"

namespace hami::driver {
namespace {

using std::chrono::seconds;

const MonoTime kStart{seconds(1000)};

CardInfo Card(const std::string& uuid, const std::string& fault = "") {
  CardInfo card;
  card.uuid = uuid;
  card.fault = fault;
  return card;
}

HealthOptions Options() {
  HealthOptions options;
  options.classify = ClassifyXid;
  return options;
}

TEST(CardHealthTest, OneBadLookIsNoVerdictTwoAre) {
  CardHealth health(Options());
  health.OnCards({Card("a")}, kStart);
  EXPECT_TRUE(health.OnCards({Card("a", "no answer")}, kStart).empty());
  EXPECT_TRUE(health.Healthy("a"));
  EXPECT_EQ(health.OnCards({Card("a", "no answer")}, kStart),
            (std::vector<HealthChange>{{"a", false, "no answer"}}));
  EXPECT_TRUE(health.OnCards({Card("a")}, kStart).empty());
  EXPECT_EQ(health.StateOf("a"), HealthState::kRecovering);
  EXPECT_TRUE(health.OnCards({Card("a")}, kStart).empty());
  EXPECT_EQ(health.OnCards({Card("a")}, kStart), (std::vector<HealthChange>{{"a", true, ""}}));
}

TEST(CardHealthTest, ProgramsOwnFaultsDoNotCount) {
  CardHealth health(Options());
  health.OnCards({Card("a")}, kStart);
  EXPECT_TRUE(health.OnEvents({{.uuid = "a", .code = 31}}, kStart).empty());
  EXPECT_TRUE(health.Healthy("a"));
}

TEST(CardHealthTest, TransientEventHealsAfterAQuietTime) {
  CardHealth health(Options());
  health.OnCards({Card("a"), Card("b")}, kStart);
  EXPECT_EQ(health.OnEvents({{.uuid = "a", .code = 62}}, kStart),
            (std::vector<HealthChange>{{"a", false, "driver event 62"}}));
  EXPECT_TRUE(health.Healthy("b"));
  for (int i = 0; i < 5; ++i) health.OnCards({Card("a"), Card("b")}, kStart + seconds(299));
  EXPECT_FALSE(health.Healthy("a"));
  for (int i = 0; i < 3; ++i) health.OnCards({Card("a"), Card("b")}, kStart + seconds(301));
  EXPECT_TRUE(health.Healthy("a"));
}

TEST(CardHealthTest, LastingEventStaysUntilForgiven) {
  CardHealth health(Options());
  health.OnCards({Card("a")}, kStart);
  health.OnEvents({{.uuid = "a", .code = 79}}, kStart);
  for (int i = 0; i < 5; ++i) health.OnCards({Card("a")}, kStart + seconds(9000));
  EXPECT_FALSE(health.Healthy("a"));
  EXPECT_EQ(health.Reason("a"), "driver event 79, needs a reset");
  health.Forgive("a");
  for (int i = 0; i < 3; ++i) health.OnCards({Card("a")}, kStart + seconds(9001));
  EXPECT_TRUE(health.Healthy("a"));
}

TEST(CardHealthTest, EventWithoutACardIsEveryCards) {
  CardHealth health(Options());
  health.OnCards({Card("a"), Card("b")}, kStart);
  EXPECT_EQ(health.OnEvents({{.uuid = "", .code = 62}}, kStart).size(), 2u);
}

TEST(CardHealthTest, Trap5e_VanishedCardIsKeptUnhealthyThenForgotten) {
  CardHealth health(Options());
  health.OnCards({Card("a"), Card("b")}, kStart);
  EXPECT_EQ(health.OnCards({Card("a")}, kStart).size(), 1u);
  EXPECT_EQ(health.Lost().size(), 1u);
  EXPECT_FALSE(health.Healthy("b"));
  health.OnCards({Card("a")}, kStart + seconds(599));
  EXPECT_EQ(health.Lost().size(), 1u);
  health.OnCards({Card("a")}, kStart + seconds(601));
  EXPECT_TRUE(health.Lost().empty());
}

TEST(CardHealthTest, LostCardThatComesBackRecovers) {
  CardHealth health(Options());
  health.OnCards({Card("a")}, kStart);
  health.OnCards({}, kStart);
  for (int i = 0; i < 3; ++i) health.OnCards({Card("a")}, kStart + seconds(1));
  EXPECT_TRUE(health.Healthy("a"));
  EXPECT_TRUE(health.Lost().empty());
}

TEST(XidFilterTest, Trap18_SwitchesAreObeyed) {
  EXPECT_EQ(XidFilter::Parse("", "")->Classify(48), EventClass::kLasting);
  EXPECT_EQ(XidFilter::Parse("", "")->Classify(13), EventClass::kApplication);
  EXPECT_EQ(XidFilter::Parse("48, 62", "")->Classify(48), EventClass::kApplication);
  EXPECT_EQ(XidFilter::Parse("", "13")->Classify(13), EventClass::kTransient);
  EXPECT_FALSE(XidFilter::Parse("all", "")->active());
  EXPECT_TRUE(XidFilter::Parse("xids", "79")->active());
  EXPECT_EQ(XidFilter::Parse("xids", "79")->Classify(79), EventClass::kLasting);
  EXPECT_EQ(XidFilter::Parse("xids", "79")->Classify(48), EventClass::kApplication);
  EXPECT_EQ(XidFilter::Parse("abc", "").error().message,
            "DP_DISABLE_HEALTHCHECKS: \"abc\": expected all, xids or a list of numbers");
}

}  // namespace
}  // namespace hami::driver
