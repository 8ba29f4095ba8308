#include "platform/telemetry/histogram.h"

#include <gtest/gtest.h>

namespace hami::telemetry {
namespace {

TEST(HistogramTest, BucketsAreCumulativeAndIncludeTheirBound) {
  Histogram histogram({0.5, 1});
  for (double v : {0.5, 0.6, 1.0, 2.0}) histogram.Observe(v);
  Exposition out;
  out.Family("h", "seconds", MetricType::kHistogram);
  histogram.WriteTo(out, {{"verb", "filter"}});
  EXPECT_EQ(out.text(),
            "# HELP h seconds\n"
            "# TYPE h histogram\n"
            "h_bucket{verb=\"filter\",le=\"0.5\"} 1\n"
            "h_bucket{verb=\"filter\",le=\"1\"} 3\n"
            "h_bucket{verb=\"filter\",le=\"+Inf\"} 4\n"
            "h_sum{verb=\"filter\"} 4.1\n"
            "h_count{verb=\"filter\"} 4\n");
}

TEST(HistogramDeathTest, BoundsRise) { EXPECT_DEATH(Histogram({2, 1}), "is_sorted"); }

}  // namespace
}  // namespace hami::telemetry
