#include "platform/telemetry/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace hami::telemetry {
namespace {

using testing::HasSubstr;

TEST(MetricsTest, ExposesCountersGaugesAndBuildInfo) {
  Registry registry(Exposition::OwnedLabels{{"zone", "vGPU"}});
  registry.SetBuildInfo({{"version", "v1"}});
  auto& calls = registry.Counters("calls_total", "API calls", {"verb", "code"});
  calls.With({"get", "200"}).Add();
  calls.With({"get", "200"}).Add(2);
  calls.With({"list", "500"}).Add();
  registry.Gauges("leader", "1 while leading").Get().Set(1);
  registry.Counters("unused_total", "never counted");
  registry.AddCollector([](Exposition& out) {
    out.Family("large", "streamed", MetricType::kGauge);
    out.Sample({{"node", "n"}}, 7);
  });
  EXPECT_EQ(registry.Expose(),
            "# HELP hami_build_info build information of this process\n"
            "# TYPE hami_build_info gauge\n"
            "hami_build_info{version=\"v1\"} 1\n"
            "# HELP calls_total API calls\n"
            "# TYPE calls_total counter\n"
            "calls_total{verb=\"get\",code=\"200\",zone=\"vGPU\"} 3\n"
            "calls_total{verb=\"list\",code=\"500\",zone=\"vGPU\"} 1\n"
            "# HELP leader 1 while leading\n"
            "# TYPE leader gauge\n"
            "leader{zone=\"vGPU\"} 1\n"
            "# HELP large streamed\n"
            "# TYPE large gauge\n"
            "large{node=\"n\",zone=\"vGPU\"} 7\n");
}

TEST(MetricsTest, HistogramBucketsAreCumulativeAndIncludeTheirBound) {
  Registry registry;
  auto& histogram = registry.Histograms("h", "seconds", {"verb"}, {0.5, 1}).With({"filter"});
  for (double v : {0.5, 0.6, 1.0, 2.0}) histogram.Observe(v);
  EXPECT_EQ(registry.Expose(),
            "# HELP h seconds\n"
            "# TYPE h histogram\n"
            "h_bucket{verb=\"filter\",le=\"0.5\"} 1\n"
            "h_bucket{verb=\"filter\",le=\"1\"} 3\n"
            "h_bucket{verb=\"filter\",le=\"+Inf\"} 4\n"
            "h_sum{verb=\"filter\"} 4.1\n"
            "h_count{verb=\"filter\"} 4\n");
}

TEST(MetricsTest, CountsFromManyThreadsAreNotLost) {
  Registry registry;
  auto& family = registry.Counters("c", "h", {"t"});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 10'000; ++i) family.With({"x"}).Add();
      registry.Expose();
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(family.With({"x"}).value(), 40'000);
}

TEST(MetricsDeathTest, AFamilyIsRegisteredOnce) {
  Registry registry;
  registry.Counters("c", "h");
  EXPECT_DEATH(registry.Gauges("c", "h"), "names.insert");
}

TEST(MetricsDeathTest, LabelValuesMustMatchTheLabels) {
  Registry registry;
  auto& family = registry.Counters("c", "h", {"a", "b"});
  EXPECT_DEATH(family.With({"only one"}), "labels_.size");
}

}  // namespace
}  // namespace hami::telemetry
