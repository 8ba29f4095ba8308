#include "base/json.h"

#include <gtest/gtest.h>

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
