#include "base/json_write.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

std::string Quote(std::string_view s, JsonEscape e = JsonEscape::kPlain) {
  std::string out;
  AppendJsonString(out, s, e);
  return out;
}

TEST(JsonWriter, KeepsTheOrderAndPlacesCommas) {
  JsonWriter w;
  w.Object([&] {
    w.Key("b").Int(-1).Key("a").Array([&] { w.Null().Bool(true).Object([] {}).Double(1.5); });
    w.Key("c").String("x");
  });
  EXPECT_EQ(w.text(), R"({"b":-1,"a":[null,true,{},1.5],"c":"x"})");
}

TEST(AppendJsonString, EscapesAsGoWhereUsersCompareBytes) {
  EXPECT_EQ(Quote("a<b>&\xE2\x80\xA8", JsonEscape::kGo), R"("a\u003cb\u003e\u0026\u2028")");
  EXPECT_EQ(Quote("a<b>&"), R"("a<b>&")");
  EXPECT_EQ(Quote("\x01\n\"\\"), R"("\u0001\n\"\\")");
}

TEST(AppendJsonString, ReplacesInvalidUtf8) {
  EXPECT_EQ(Quote("a\xff"
                  "b\xC0\xAF"),
            R"("a\ufffdb\ufffd\ufffd")");
  EXPECT_EQ(Quote("\xED\xA0\x80"), R"("\ufffd\ufffd\ufffd")");  // a lone surrogate
  EXPECT_EQ(Quote("\xF0\x9F\x98\x80"), "\"\xF0\x9F\x98\x80\"");
}

}  // namespace
}  // namespace hami
