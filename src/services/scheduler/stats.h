// Stats: what the scheduler counts about itself; rendered by metrics.cc. State thread only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>

#include "base/clock.h"
#include "domain/model/verdict.h"
#include "domain/policy/explain.h"

namespace hami::scheduler {

// Latency in cumulative buckets, as Prometheus wants it.
struct Latency {
  static constexpr std::array<double, 14> kBounds = {
      0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30};
  std::array<uint64_t, kBounds.size()> buckets{};  // cumulative
  uint64_t count = 0;
  double sum = 0;  // seconds

  void Observe(Duration d) {
    double seconds = std::chrono::duration<double>(d).count();
    for (size_t i = 0; i < kBounds.size(); ++i) buckets[i] += seconds <= kBounds[i] ? 1 : 0;
    ++count;
    sum += seconds;
  }
};

struct Stats {
  Latency filter_seconds;
  Latency bind_seconds;
  uint64_t filter_placed = 0;
  uint64_t bind_succeeded = 0;
  uint64_t bind_failed = 0;
  uint64_t pokes = 0;
  uint64_t audit_repairs = 0;
  uint64_t expired = 0;
  std::map<std::string, uint64_t> refusals;  // by the most frequent reason of a refused Pod

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
