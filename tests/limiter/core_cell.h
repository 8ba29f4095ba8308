// One cell of the core limit's table: programs of one kind under one limit beside neighbours, on a
// simulated machine of their own, judged by the card's own timeline.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace hami::limiter::testing {

// Limit in percent, kernel and pattern (core_load.cc), processes, and neighbours: "none", "limited"
// (the rest of the card to the same program) or "unlimited" (1 ms kernels, 20 at a time).
using Cell = std::vector<std::string>;

// How long a cell is measured, in seconds, and on what.
struct Course {
  double warm = 2, seconds = 10;
  size_t nvml_lag_ms = 0, nvml_sample_ms = 0;  // how old its figures are, how far apart
  bool time_sliced = false;                    // the card; else it serves who comes first
  bool model = false;  // in virtual time (limiter/core/model.h): share alone
};

struct Figures {
  double share = 0;   // percent of the card, all programs of the cell together
  double least = 0;   // of the seconds by themselves: the lowest share
  double most = 0;    // and the highest
  double cpu = 0;     // percent of a processor that the programs took,
  double helper = 0;  // and the library's own threads among them
};

// The cell's programs under `limit`; 0: without the library. Any thread.
Figures Measure(const Cell& cell, int limit, const Course& course);

}  // namespace hami::limiter::testing
