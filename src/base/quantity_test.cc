#include "base/quantity.h"

#include <gtest/gtest.h>

namespace hami {
namespace {

TEST(ParseQuantity, MultipliesSuffixesOut) {
  struct Row {
    const char* text;
    int64_t value;
    bool integral;
  };
  for (const Row& row :
       {Row{"0", 0, true}, Row{"3000", 3000, true}, Row{"3k", 3000, true},
        Row{"3Gi", 3ll << 30, true}, Row{"2e3", 2000, true}, Row{"2E3", 2000, true},
        Row{"1.5k", 1500, true}, Row{"1.5", 2, false}, Row{"1500m", 2, false},
        Row{"2000m", 2, true}, Row{"-1", -1, true}, Row{"+7", 7, true}, Row{".5Ki", 512, true},
        Row{"5.", 5, true}, Row{"1n", 1, false}, Row{"1E", 1'000'000'000'000'000'000, true}}) {
    auto q = ParseQuantity(row.text);
    ASSERT_TRUE(q) << row.text;
    EXPECT_EQ(q->value, row.value) << row.text;
    EXPECT_EQ(q->integral, row.integral) << row.text;
    EXPECT_FALSE(q->saturated) << row.text;
  }
}

TEST(ParseQuantity, SaturatesBeyondInt64) {
  for (const char* text : {"9223372036854775808", "16Ei", "1e40", "99999999999999999999Gi"}) {
    auto q = ParseQuantity(text);
    ASSERT_TRUE(q) << text;
    EXPECT_TRUE(q->saturated) << text;
    EXPECT_EQ(q->value, INT64_MAX) << text;
  }
}

TEST(ParseQuantity, RefusesWhatTheGrammarDoesNotHave) {
  for (const char* text : {"", "-", "Gi", "1.2.3", "3gi", "3 Gi", "3GiB", "1e", "e3", "0x10", "--1",
                           "1e99999999999", "\xff"}) {
    EXPECT_FALSE(ParseQuantity(text)) << text;
  }
}

TEST(ParseQuantity, NamesTheTextInTheError) {
  EXPECT_NE(ParseQuantity("3GiB").error().message.find("\"3GiB\""), std::string::npos);
}

}  // namespace
}  // namespace hami
