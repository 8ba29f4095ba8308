// Histogram: how often a value fell below each of some bounds.
//
// A value with state, one thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "platform/telemetry/exposition.h"

namespace hami::telemetry {

class Histogram {
 public:
  // Upper bounds, rising; +Inf is implied.
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  // Its samples, behind the family that the caller has begun. `labels` without "le".
  void WriteTo(Exposition& out, std::initializer_list<Label> labels = {}) const;

 private:
  std::vector<double> bounds_;
  std::vector<uint64_t> counts_;  // one per bound, then +Inf
  double sum_ = 0;
};

}  // namespace hami::telemetry
