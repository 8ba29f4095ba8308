#include "base/duration.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

using namespace std::chrono_literals;

TEST(Duration, ReadsWhatGoWrites) {
  EXPECT_EQ(*ParseDuration("5m"), 5min);
  EXPECT_EQ(*ParseDuration("1h30m"), 90min);
  EXPECT_EQ(*ParseDuration("1.5s"), 1500ms);
  EXPECT_EQ(*ParseDuration("100ms"), 100ms);
  EXPECT_EQ(*ParseDuration("0"), 0s);
  EXPECT_EQ(*ParseDuration("-2s"), -2s);
}

TEST(Duration, RefusesNonsense) {
  for (const char* text : {"", "5", "m", "5 m", "5x", "1h-3m", "--1s", "1e3s", "99999999999h"}) {
    EXPECT_FALSE(ParseDuration(text)) << text;
  }
}

TEST(Duration, WritesLikeGo) {
  EXPECT_EQ(FormatDuration(5min), "5m0s");
  EXPECT_EQ(FormatDuration(28s), "28s");
  EXPECT_EQ(FormatDuration(90min), "1h30m0s");
  EXPECT_EQ(FormatDuration(1500ms), "1.5s");
  EXPECT_EQ(FormatDuration(0s), "0s");
  EXPECT_EQ(FormatDuration(-1500us), "-1.5ms");
}

}  // namespace
}  // namespace hami
