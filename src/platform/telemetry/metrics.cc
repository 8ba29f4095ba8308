#include "platform/telemetry/metrics.h"

#include <algorithm>
#include <set>
#include <type_traits>
#include <utility>

#include "base/result.h"
#include "platform/telemetry/names.h"

namespace hami::telemetry {
namespace {

template <class Metric>
void WriteMetric(Exposition& out, const std::vector<Label>& labels, const Metric& metric) {
  out.Sample(labels, metric.value());
}

template <>
void WriteMetric(Exposition& out, const std::vector<Label>& labels, const Histogram& metric) {
  auto snapshot = metric.snapshot();
  std::vector<Label> with_bound = labels;
  with_bound.push_back({"le", ""});
  for (size_t i = 0; i < snapshot.cumulative.size(); ++i) {
    bool last = i == metric.bounds().size();
    std::string bound = last ? "+Inf" : FormatValue(metric.bounds()[i]);
    with_bound.back().value = bound;
    out.Sample("_bucket", with_bound, static_cast<double>(snapshot.cumulative[i]));
  }
  out.Sample("_sum", labels, snapshot.sum);
  out.Sample("_count", labels, static_cast<double>(snapshot.cumulative.back()));
}

template <class Metric>
constexpr MetricType TypeOf() {
  if constexpr (std::is_same_v<Metric, Counter>) return MetricType::kCounter;
  if constexpr (std::is_same_v<Metric, Gauge>) return MetricType::kGauge;
  return MetricType::kHistogram;
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::Observe(double value) {
  // A bucket holds what is at most its bound.
  auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  std::lock_guard lock(mutex_);
  ++counts_[static_cast<size_t>(at - bounds_.begin())];
  sum_ += value;
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot out;
  std::lock_guard lock(mutex_);
  uint64_t total = 0;
  for (uint64_t count : counts_) {
    total += count;
    out.cumulative.push_back(total);
  }
  out.sum = sum_;
  return out;
}

std::vector<double> DurationBounds() {
  std::vector<double> out;
  for (double bound = 0.001; bound < 20; bound *= 2) out.push_back(bound);
  return out;
}

template <class Metric>
Metric& Family<Metric>::With(const std::vector<std::string>& values) {
  CHECK(values.size() == labels_.size());
  std::lock_guard lock(mutex_);
  auto& metric = metrics_[values];
  if (!metric) {
    if constexpr (std::is_same_v<Metric, Histogram>) {
      metric = std::make_unique<Metric>(bounds_);
    } else {
      metric = std::make_unique<Metric>();
    }
  }
  return *metric;
}

template <class Metric>
void Family<Metric>::WriteTo(Exposition& out) const {
  std::lock_guard lock(mutex_);
  if (metrics_.empty()) return;
  out.Family(name_, help_, TypeOf<Metric>());
  std::vector<Label> labels(labels_.size());
  for (const auto& [values, metric] : metrics_) {
    for (size_t i = 0; i < labels.size(); ++i) labels[i] = {labels_[i], values[i]};
    WriteMetric(out, labels, *metric);
  }
}

template class Family<Counter>;
template class Family<Gauge>;
template class Family<Histogram>;

struct Registry::Impl {
  template <class Metric>
  Family<Metric>& Add(std::string name, std::string help, std::vector<std::string> labels,
                      std::vector<double> bounds) {
    auto family = std::make_shared<Family<Metric>>(name, std::move(help), std::move(labels),
                                                   std::move(bounds));
    std::lock_guard lock(mutex);
    CHECK(names.insert(std::move(name)).second);
    collectors.push_back([family](Exposition& out) { family->WriteTo(out); });
    return *family;
  }

  Exposition::OwnedLabels constant;
  mutable std::mutex mutex;
  std::set<std::string> names GUARDED_BY(mutex);
  std::map<std::string, std::string> build_info GUARDED_BY(mutex);
  std::vector<Collector> collectors GUARDED_BY(mutex);  // keep our families alive
};

Registry::Registry(Exposition::OwnedLabels constant) : impl_(std::make_unique<Impl>()) {
  impl_->constant = std::move(constant);
}
Registry::~Registry() = default;

Family<Counter>& Registry::Counters(std::string name, std::string help,
                                    std::vector<std::string> labels) {
  return impl_->Add<Counter>(std::move(name), std::move(help), std::move(labels), {});
}
Family<Gauge>& Registry::Gauges(std::string name, std::string help,
                                std::vector<std::string> labels) {
  return impl_->Add<Gauge>(std::move(name), std::move(help), std::move(labels), {});
}
Family<Histogram>& Registry::Histograms(std::string name, std::string help,
                                        std::vector<std::string> labels,
                                        std::vector<double> bounds) {
  return impl_->Add<Histogram>(std::move(name), std::move(help), std::move(labels),
                               std::move(bounds));
}

void Registry::SetBuildInfo(std::map<std::string, std::string> labels) {
  std::lock_guard lock(impl_->mutex);
  impl_->build_info = std::move(labels);
}

void Registry::AddCollector(Collector collector) {
  std::lock_guard lock(impl_->mutex);
  impl_->collectors.push_back(std::move(collector));
}

std::string Registry::Expose() const {
  Exposition out(impl_->constant);
  std::vector<Collector> collectors;
  {
    std::lock_guard lock(impl_->mutex);
    if (!impl_->build_info.empty()) {
      out.Family(metric::kBuildInfo, "build information of this process", MetricType::kGauge);
      std::vector<Label> labels;
      for (const auto& [name, value] : impl_->build_info) labels.push_back({name, value});
      out.BareSample(labels, 1);
    }
    collectors = impl_->collectors;  // they may take long, and may use the registry
  }
  for (const Collector& collector : collectors) collector(out);
  return out.Take();
}

}  // namespace hami::telemetry
