#include "base/printable.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

TEST(PrintableTest, ControlCharactersBecomeVisible) {
  EXPECT_EQ(Printable("a\x1b[31mred\a\n\t\r\x7f"), "a\\x1b[31mred\\x07\\n\\t\\r\\x7f");
  EXPECT_EQ(Printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(Printable("csi \xC2\x9B, turned \xE2\x80\xAE"), "csi \\u009b, turned \\u202e");
}

TEST(PrintableTest, TextOfAnyLanguageStays) {
  constexpr const char* kText = "NVIDIA \"L4\" C:\\ \xC3\xA4\xE4\xB8\xAD\xF0\x9F\x98\x80";
  EXPECT_EQ(Printable(kText), kText);
  EXPECT_EQ(QuotedIfOdd(kText), kText);
  EXPECT_EQ(QuotedIfOdd("a\nb"), "\"a\\nb\"");
}

TEST(PrintableTest, BytesThatAreNoTextBecomeVisible) {
  EXPECT_EQ(Printable("\xFFz\xC3"), "\\xffz\\xc3");
  EXPECT_EQ(Printable("\xC0\x8A\xED\xA0\x80"), "\\xc0\\x8a\\xed\\xa0\\x80");
}

TEST(PrintableTest, AHeadEndsWithAWholeCharacter) {
  EXPECT_EQ(Head("ab\xC3\xA4", 3), "ab");
  EXPECT_EQ(Head("ab\xC3\xA4", 4), "ab\xC3\xA4");
  EXPECT_EQ(Head("abc", 2), "ab");
}

}  // namespace
}  // namespace hami
