#include "platform/telemetry/exposition.h"

#include <gtest/gtest.h>

#include <array>

namespace hami::telemetry {
namespace {

TEST(Exposition, WritesFamiliesWithConstantLabelsLast) {
  Exposition out({{"zone", "vGPU"}});
  out.Family("a_bytes", "gauge", "what it is");
  out.Sample({{"node", "n1"}}, 42949672960.0);
  out.Sample({}, 0.25);
  EXPECT_EQ(out.Take(),
            "# HELP a_bytes what it is\n# TYPE a_bytes gauge\n"
            "a_bytes{node=\"n1\",zone=\"vGPU\"} 42949672960\n"
            "a_bytes{zone=\"vGPU\"} 0.25\n");
}

TEST(Exposition, EscapesLabelValues) {
  Exposition out;
  out.Family("a", "gauge", "h");
  out.Sample({{"x", "q\"b\\n\nl"}}, 1);
  EXPECT_NE(out.Take().find(R"(a{x="q\"b\\n\nl"} 1)"), std::string::npos);
}

TEST(Exposition, HistogramEndsWithInfSumAndCount) {
  Exposition out;
  out.Family("h", "histogram", "h");
  std::array<double, 2> bounds{0.001, 1};
  std::array<uint64_t, 2> counts{1, 3};
  out.Histogram({{"verb", "filter"}}, bounds, counts, 4.5, 4);
  EXPECT_EQ(out.Take(),
            "# HELP h h\n# TYPE h histogram\n"
            "h_bucket{verb=\"filter\",le=\"0.001\"} 1\n"
            "h_bucket{verb=\"filter\",le=\"1\"} 3\n"
            "h_bucket{verb=\"filter\",le=\"+Inf\"} 4\n"
            "h_sum{verb=\"filter\"} 4.5\nh_count{verb=\"filter\"} 4\n");
}

}  // namespace
}  // namespace hami::telemetry
