#include "platform/telemetry/histogram.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/result.h"

namespace hami::telemetry {

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {
  CHECK(std::is_sorted(bounds_.begin(), bounds_.end()));
}

void Histogram::Observe(double value) {
  // A bucket holds what is at most its bound.
  auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(at - bounds_.begin())];
  sum_ += value;
}

void Histogram::WriteTo(Exposition& out, std::initializer_list<Label> labels) const {
  std::vector<Label> with_bound(labels);
  with_bound.push_back({"le", ""});
  uint64_t below = 0;
  for (size_t i = 0; i < counts_.size(); ++i) {
    below += counts_[i];
    const std::string bound = i == bounds_.size() ? "+Inf" : FormatValue(bounds_[i]);
    with_bound.back().value = bound;
    out.Sample("_bucket", with_bound, static_cast<double>(below));
  }
  const std::vector<Label> plain(labels);
  out.Sample("_sum", plain, sum_);
  out.Sample("_count", plain, static_cast<double>(below));
}

}  // namespace hami::telemetry
