// Parts of World, for model.cc (the card, its programs, the governor) and model_helper.cc (NVML and
// the helper thread) alone.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "limiter/core/lookback.h"
#include "limiter/core/model.h"

namespace hami::limiter::core::model {

inline constexpr uint64_t kUs = 1'000, kMs = 1'000'000, kSecond = 1'000'000'000;
inline constexpr uint64_t kWakeNs = 20 * kUs, kWakeNoiseNs = 80 * kUs;

struct Busy {
  uint64_t from_ns, to_ns;
};

inline uint64_t Overlap(const Busy& busy, uint64_t from_ns, uint64_t to_ns) {
  const uint64_t from = std::max(busy.from_ns, from_ns), to = std::min(busy.to_ns, to_ns);
  return to > from ? to - from : 0;
}

struct World::Sample {
  uint64_t start_ns, end_ns;
  Function* function;
  uint64_t key;  // in all processes
  uint64_t position_ns;
};

struct World::Thread {
  Process* process = nullptr;
  std::vector<uint64_t> stream_done_ns;
  uint64_t launches = 0;
  // Of the launch that is being admitted:
  bool asked = false, waited = false, first = false, companion = false;
  uint64_t began_ns = 0, nap_ns = 0, in_vain_ns = 0, cost_ns = 0, estimate_ns = 0;
};

struct World::Process {
  Container* container = nullptr;
  uint64_t times = 1;
  std::unique_ptr<Functions, decltype(&free)> functions{
      static_cast<Functions*>(calloc(1, sizeof(Functions))), &free};
  Feedback feedback;
  uint32_t k = Feedback::kOne;
  int64_t credit_ns = Bucket::kCreditNs;
  Totals totals;       // so far
  Totals seen_totals;  // as of the last look
  uint64_t finished_ns = 0, seen_finished_ns = 0;
  int64_t recent_base_ns = 0, recent_ns = 0;
  bool confirmed = false, was_shown_none = false;
  Lookback lookback;
  std::vector<Busy> ran;
  std::vector<Sample> pending;
  std::vector<std::unique_ptr<Thread>> threads;

  uint64_t queued_ns() const { return pending.empty() ? 0 : totals.launched_ns - finished_ns; }
  uint64_t Corrected(uint64_t ns) const { return ns * k / Feedback::kOne; }
  // Nanoseconds between two moments of the last seconds.
  uint64_t Ran(uint64_t from_ns, uint64_t to_ns) const {
    uint64_t sum = 0;
    for (auto one = ran.rbegin(); one != ran.rend(); ++one) {
      if (one->to_ns + 5 * kSecond < from_ns) break;
      sum += Overlap(*one, from_ns, to_ns);
    }
    return sum;
  }
};

struct World::Container {
  uint64_t limit = 0;
  Program program;
  HamiExtDevice words{};
  std::vector<HamiExtFunction> functions{16};
  const Function* turn_of = nullptr;
  uint64_t turn_ends_ns = 0;
  std::vector<std::unique_ptr<Process>> processes;
};

}  // namespace hami::limiter::core::model
