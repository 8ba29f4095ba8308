#include "platform/kube/time.h"

#include <gtest/gtest.h>

namespace hami::kube {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

TEST(TimeTest, FormatsAsKubernetesDoes) {
  WallTime t(seconds(1'767'323'045) + microseconds(6));
  EXPECT_EQ(FormatTime(t), "2026-01-02T03:04:05Z");
  EXPECT_EQ(FormatMicroTime(t), "2026-01-02T03:04:05.000006Z");
}

TEST(TimeTest, ReadsFractionsAndOffsets) {
  WallTime t(seconds(1'767'323'045));
  EXPECT_EQ(*ParseTime("2026-01-02T03:04:05Z"), t);
  EXPECT_EQ(*ParseTime("2026-01-02T03:04:05.000006Z"), t + microseconds(6));
  EXPECT_EQ(*ParseTime("2026-01-02T03:04:05.1234567891Z"), t + std::chrono::nanoseconds(123456789));
  EXPECT_EQ(*ParseTime("2026-01-02T05:04:05+02:00"), t);
  EXPECT_EQ(*ParseTime("2026-01-01T21:34:05-05:30"), t);
}

TEST(TimeTest, RefusesWhatIsNoTime) {
  for (const char* text :
       {"", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-01-02T24:04:05Z",
        "2026-01-02T03:04:05.Z", "2026-01-02 03:04:05Z", "2026-01-02T03:04:05+0200",
        "2026-01-02T03:04:05ZZ", "9999-01-02T03:04:05Z", "x026-01-02T03:04:05Z"}) {
    EXPECT_FALSE(ParseTime(text)) << text;
  }
}

TEST(TimeTest, FormattingAndParsingRoundTrip) {
  for (int64_t micros : {0LL, 1LL, 999'999LL, 1'767'323'045'123'456LL, 4'102'444'799'999'999LL}) {
    WallTime t{microseconds(micros)};
    auto back = ParseTime(FormatMicroTime(t));
    ASSERT_TRUE(back) << micros;
    EXPECT_EQ(*back, t);
  }
}

}  // namespace
}  // namespace hami::kube
