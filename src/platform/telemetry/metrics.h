// Counters, gauges and histograms of a process, for families of few series. Large ones are written
// at scrape time by a collector (exposition.h).
//
// Registry is made in main and outlives whoever holds its metrics. All methods are thread-safe;
// updating a metric is an atomic operation, With takes a lock (keep its result where that matters).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_annotations.h"
#include "platform/telemetry/exposition.h"

namespace hami::telemetry {

class Counter {
 public:
  void Add(double by = 1) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Gauge {
 public:
  void Set(double value) { value_.store(value, std::memory_order_relaxed); }
  void Add(double by) { value_.fetch_add(by, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

class Histogram {
 public:
  // Upper bounds, rising; +Inf is implied.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  struct Snapshot {
    std::vector<uint64_t> cumulative;  // one per bound, then +Inf
    double sum = 0;
  };
  Snapshot snapshot() const;
  const std::vector<double>& bounds() const { return bounds_; }

 private:
  std::vector<double> bounds_;
  mutable std::mutex mutex_;
  std::vector<uint64_t> counts_ GUARDED_BY(mutex_);
  double sum_ GUARDED_BY(mutex_) = 0;
};

// 1 ms to about 16 s, doubling: for durations in seconds.
std::vector<double> DurationBounds();

// Counter, Gauge or Histogram by the values of the family's labels.
template <class Metric>
class Family {
 public:
  Family(std::string name, std::string help, std::vector<std::string> labels,
         std::vector<double> bounds)
      : name_(std::move(name)),
        help_(std::move(help)),
        labels_(std::move(labels)),
        bounds_(std::move(bounds)) {}

  // One value per label name of the family, in that order.
  Metric& With(const std::vector<std::string>& values);
  Metric& Get() { return With({}); }    // family without labels
  void WriteTo(Exposition& out) const;  // nothing while it has no metric

 private:
  const std::string name_;
  const std::string help_;
  const std::vector<std::string> labels_;
  const std::vector<double> bounds_;  // histograms only
  mutable std::mutex mutex_;
  std::map<std::vector<std::string>, std::unique_ptr<Metric>> metrics_ GUARDED_BY(mutex_);
};

class Registry {
 public:
  // `constant`: labels on every series of this process.
  explicit Registry(Exposition::OwnedLabels constant = {});
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // A family is registered once; a second time with the same name aborts.
  Family<Counter>& Counters(std::string name, std::string help,
                            std::vector<std::string> labels = {});
  Family<Gauge>& Gauges(std::string name, std::string help, std::vector<std::string> labels = {});
  Family<Histogram>& Histograms(std::string name, std::string help,
                                std::vector<std::string> labels = {},
                                std::vector<double> bounds = DurationBounds());
  // hami_build_info, which carries no constant labels.
  void SetBuildInfo(std::map<std::string, std::string> labels);

  // Called during every scrape, on the scraping thread, in order of registration.
  using Collector = std::function<void(Exposition&)>;
  void AddCollector(Collector collector);

  std::string Expose() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hami::telemetry
