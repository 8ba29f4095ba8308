#include "platform/telemetry/exposition.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace hami::telemetry {
namespace {

TEST(ExpositionTest, WritesFamiliesSampleBySample) {
  Exposition out(Exposition::OwnedLabels{{"zone", "vGPU"}});
  out.Family("m", "help with \\ and\nbreak", MetricType::kGauge);
  out.Sample({{"node", "n1"}, {"uuid", "a\"b\\c\nd"}}, 8589934592.0);
  out.Sample({}, 0.25);
  out.BareSample({}, 1);
  EXPECT_EQ(out.text(),
            "# HELP m help with \\\\ and\\nbreak\n"
            "# TYPE m gauge\n"
            "m{node=\"n1\",uuid=\"a\\\"b\\\\c\\nd\",zone=\"vGPU\"} 8589934592\n"
            "m{zone=\"vGPU\"} 0.25\n"
            "m 1\n");
}

TEST(ExpositionTest, ValuesReadBackEqual) {
  EXPECT_EQ(FormatValue(0), "0");
  EXPECT_EQ(FormatValue(-3), "-3");
  EXPECT_EQ(FormatValue(0.1), "0.1");
  EXPECT_EQ(FormatValue(1e20), "1e+20");
  EXPECT_EQ(FormatValue(std::numeric_limits<double>::infinity()), "+Inf");
  EXPECT_EQ(FormatValue(-std::numeric_limits<double>::infinity()), "-Inf");
  EXPECT_EQ(FormatValue(std::nan("")), "NaN");
  for (double value : {1.0 / 3, 12345678.9, 1.7976931348623157e308, 999999999999999.0}) {
    EXPECT_EQ(std::stod(FormatValue(value)), value);
  }
}

}  // namespace
}  // namespace hami::telemetry
