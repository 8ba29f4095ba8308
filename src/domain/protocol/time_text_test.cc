#include "domain/protocol/time_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace hami::protocol {
namespace {

using std::chrono::seconds;

TEST(TimeTextTest, ReadsZonesAndFractions) {
  WallTime t(seconds(1781449503));
  EXPECT_EQ(ParseRfc3339("2026-06-14T15:05:03Z"), t);
  EXPECT_EQ(ParseRfc3339("2026-06-14T17:05:03+02:00"), t);
  EXPECT_EQ(ParseRfc3339("2026-06-14T10:35:03-04:30"), t);
  EXPECT_EQ(ParseRfc3339("2026-06-14T15:05:03.5Z"), t + std::chrono::milliseconds(500));
  EXPECT_EQ(ParseRfc3339("2026-06-14T15:05:03.1234567891Z"),
            t + std::chrono::nanoseconds(123456789));
}

TEST(TimeTextTest, RefusesWhatIsNoTime) {
  for (std::string_view bad :
       {"", "2026", "2026-06-14", "2026-06-14 15:05:03Z", "2026-13-14T15:05:03Z",
        "2026-02-30T15:05:03Z", "2026-06-14T24:05:03Z", "2026-06-14T15:60:03Z",
        "2026-06-14T15:05:03", "2026-06-14T15:05:03.Z", "2026-06-14T15:05:03Zx",
        "2026-06-14T15:05:03+2:00", "0000-06-14T15:05:03Z", "1969-06-14T15:05:03Z",
        "9999-06-14T15:05:03Z"}) {
    EXPECT_FALSE(ParseRfc3339(bad)) << bad;
  }
}

RC_GTEST_PROP(TimeTextProperty, RoundTrips, ()) {
  WallTime t(seconds(*rc::gen::inRange<int64_t>(0, 9'000'000'000)));
  RC_ASSERT(ParseRfc3339(FormatRfc3339(t)) == t);
}

}  // namespace
}  // namespace hami::protocol
