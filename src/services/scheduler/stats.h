// Stats: what the scheduler counts about itself; rendered by metrics.cc. State thread only.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "domain/model/verdict.h"
#include "domain/policy/explain.h"
#include "platform/telemetry/histogram.h"

namespace hami::scheduler {

struct Stats {
  // Seconds from the request's arrival on the state thread to its answer.
  telemetry::Histogram filter_seconds{RequestBounds()};
  telemetry::Histogram bind_seconds{RequestBounds()};
  uint64_t filter_placed = 0;
  uint64_t bind_succeeded = 0;
  uint64_t bind_failed = 0;
  uint64_t pokes = 0;
  uint64_t audit_repairs = 0;
  uint64_t expired = 0;
  std::map<std::string, uint64_t> refusals;  // by the most frequent reason of a refused Pod

  static std::vector<double> RequestBounds() {
    return {0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};
  }
  void CountRefusal(std::span<const NodeVerdict> verdicts) {
    std::map<Reason, int> frequency;
    for (const NodeVerdict& v : verdicts) ++frequency[v.decisive];
    Reason most = Reason::kNodeUnfitPod;
    int best = 0;
    for (const auto& [reason, n] : frequency) {
      if (n > best) {
        best = n;
        most = reason;
      }
    }
    ++refusals[std::string(policy::ReasonText(most))];
  }
};

}  // namespace hami::scheduler
