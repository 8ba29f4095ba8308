#include "base/json.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <random>

namespace hami {
namespace {

TEST(ParseJson, NamesThePlaceOfTheFault) {
  EXPECT_TRUE(ParseJson(R"({"a":[1,2]} )"));
  auto bad = ParseJson(R"({"a":)");
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("byte"), std::string::npos);
  EXPECT_FALSE(ParseJson("{} x"));
  EXPECT_FALSE(ParseJson(""));
}

TEST(ParseJson, SurvivesDeepNesting) { EXPECT_FALSE(ParseJson(std::string(100'000, '['))); }

// Boost 1.81 reads every third double one bit off: what was read and written again was another
// text.
TEST(ParseJson, DoublesAreExact) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20'000; ++i) {
    const auto number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    const auto again = ParseJson(ToJson(Json(number)));
    ASSERT_TRUE(again) << again.error().message;
    ASSERT_EQ(*again, Json(number)) << ToJson(Json(number));
  }
  EXPECT_EQ(*ParseJson("[1.5,-7,18446744073709551615,0.1]"),
            Json({1.5, -7, 18446744073709551615u, 0.1}));
  EXPECT_TRUE(ParseJson("1e999"));
}

TEST(ParseJson, KeepsEveryKindOfValue) {
  constexpr std::string_view kText = R"({"a":[null,true,"\u00e9\n",[],{}],"b":{"c":"d"}})";
  const auto value = ParseJson(kText);
  ASSERT_TRUE(value) << value.error().message;
  EXPECT_EQ(*ParseJson(ToJson(*value)), *value);
  EXPECT_EQ(StringAt(*value, {"b", "c"}), "d");
}

TEST(Find, WalksAndToleratesWrongTypes) {
  auto doc = *ParseJson(R"({"m":{"n":"x","i":7,"f":1.5,"b":true}})");
  EXPECT_EQ(StringAt(doc, {"m", "n"}), "x");
  EXPECT_EQ(StringAt(doc, {"m", "i"}), "");
  EXPECT_EQ(IntAt(doc, {"m", "i"}), 7);
  EXPECT_EQ(IntAt(doc, {"m", "f"}), std::nullopt);
  EXPECT_EQ(BoolAt(doc, {"m", "b"}), true);
  EXPECT_EQ(Find(doc, {"m", "n", "deeper"}), nullptr);
}

}  // namespace
}  // namespace hami
