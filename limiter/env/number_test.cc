#include "limiter/env/number.h"

#include <gtest/gtest.h>

namespace hami::limiter::env {
namespace {

constexpr uint64_t kMi = uint64_t{1} << 20;
constexpr uint64_t kGi = uint64_t{1} << 30;

struct Case {
  const char* text;
  uint64_t bytes;
};

TEST(ParseSizeTest, EverySuffixIsBinaryInAnyCase) {
  for (const Case& c : {Case{"1", 1},
                        {"1k", 1024},
                        {"1K", 1024},
                        {"1ki", 1024},
                        {"1KiB", 1024},
                        {"1kb", 1024},
                        {"3000m", 3000 * kMi},
                        {"3000M", 3000 * kMi},
                        {"512MiB", 512 * kMi},
                        {"512mb", 512 * kMi},
                        {"1Gi", kGi},
                        {"1gb", kGi},
                        {"1GIB", kGi},
                        {"2t", 2048 * kGi},
                        {"2Ti", 2048 * kGi}}) {
    EXPECT_EQ(ParseSize(c.text), c.bytes) << c.text;
  }
}

TEST(ParseSizeTest, FractionsAreExactToTheByte) {
  EXPECT_EQ(ParseSize("0.5g"), kGi / 2);
  EXPECT_EQ(ParseSize("1.25 GiB"), kGi + kGi / 4);
  EXPECT_EQ(ParseSize("0.1g"), 107374182u);
  EXPECT_EQ(ParseSize("0.333333333333m"), 349525u);
}

TEST(ParseSizeTest, BlanksAroundAndInBetweenAreAccepted) {
  EXPECT_EQ(ParseSize("  1 g "), kGi);
  EXPECT_EQ(ParseSize("\t512\tMiB"), 512 * kMi);
}

// TRAP A2: the reference reads 010g as octal 8 GiB, and 1Gi as one byte.
TEST(ParseSizeTest, LeadingZerosAreDecimal) {
  EXPECT_EQ(ParseSize("010g"), 10 * kGi);
  EXPECT_EQ(ParseSize("0x200m"), 512 * kMi);
  EXPECT_EQ(ParseSize("0X1F"), 31u);
}

TEST(ParseSizeTest, NothingAndZeroMeanZero) {
  for (const char* text : {"", "  ", "0", "0m", "0.0g", "0x0"})
    EXPECT_EQ(ParseSize(text), 0u) << text;
}

TEST(ParseSizeTest, EverythingElseIsRefused) {
  for (const char* text : {"g",         "-1",
                           "+1g",       "1gg",
                           "1gib1",     "1 g b",
                           "1e9",       "1,5g",
                           "1.g",       ".5g",
                           "1.5.5g",    "1x",
                           "0x",        "0xg",
                           "0x1.5",     "abc",
                           "1bi",       "1b",
                           "1p",        "18446744073709551616",
                           "16777216t", "99999999999999999999g"}) {
    EXPECT_EQ(ParseSize(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseSize("18446744073709551615"), UINT64_MAX);
}

TEST(ParseIntegerTest, AcceptsOneSignAndRefusesTheRest) {
  EXPECT_EQ(ParseInteger(" -30 "), -30);
  EXPECT_EQ(ParseInteger("+30"), 30);
  EXPECT_EQ(ParseInteger("007"), 7);
  for (const char* text : {"", "-", "3%", "0x1e", "1.5", "99999999999999999999"}) {
    EXPECT_EQ(ParseInteger(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace hami::limiter::env
