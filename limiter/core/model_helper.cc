// NVML, and what the helper thread does once a second (helper.cc), in virtual time.
#include <utility>

#include "limiter/core/model_state.h"

namespace hami::limiter::core::model {
namespace {

constexpr uint64_t kNvmlBucketNs = 10 * kMs;  // the card's time is counted in
constexpr uint64_t kPassingDebtNs = 10 * kMs;

}  // namespace

// Publish of the helper thread.
void World::Look(Process& process) {
  const uint64_t launches = process.seen_totals.launches;
  TakeTotals(process);
  process.lookback.Add(now_ns_ / kUs, process.seen_totals);
  At(now_ns_ + kSecond + 2 * kWakeNs + Noise(kWakeNoiseNs), &process, nullptr);
  if (process.seen_totals.launches != launches || process.seen_totals.waited) {
    return Compare(process);
  }
  process.credit_ns = Bucket::kCreditNs;
  process.lookback.Pass(now_ns_ / kUs);
}

void World::TakeTotals(Process& process) {
  Totals& totals = process.totals;
  const uint64_t finished_ns = std::exchange(process.seen_finished_ns, process.finished_ns);
  const bool stands = finished_ns == process.finished_ns && !process.pending.empty();
  if (!stands) totals.queued_ns = process.queued_ns();
  const auto raw_ns = static_cast<int64_t>(totals.raw_ns() - process.seen_totals.raw_ns());
  process.recent_ns += raw_ns - process.recent_ns / 4;
  process.recent_base_ns = process.recent_ns - static_cast<int64_t>(totals.raw_ns());
  process.seen_totals = totals;
  totals.waited = false;
}

uint64_t World::SampledUntil() const {
  const uint64_t ns = now_ns_ - nvml_.lag_ns;
  return nvml_.sample_ns == 0 ? ns : ns / nvml_.sample_ns * nvml_.sample_ns;
}

// As NVML shows it; negative: not at all.
int World::Shown(const Process& process, uint64_t since_us) const {
  const uint64_t until = SampledUntil();
  if (until < since_us * kUs + kNvmlBucketNs) return -1;
  const uint64_t to = until / kNvmlBucketNs * kNvmlBucketNs;
  const uint64_t window = (until - since_us * kUs) / kNvmlBucketNs * kNvmlBucketNs;
  const uint64_t busy = process.Ran(to - window, to);
  return busy == 0 ? -1 : static_cast<int>((busy * 100 + window / 2) / window);
}

bool World::ShowsAnybody(uint64_t since_us) const {
  for (const auto& container : containers_) {
    for (const auto& process : container->processes) {
      if (Shown(*process, since_us) >= 0) return true;
    }
  }
  return false;
}

// Compare of the helper thread.
void World::Compare(Process& process) {
  Container& container = *process.container;
  const auto limit = static_cast<int64_t>(container.limit);
  const uint64_t since_us = process.lookback.since_us(), now_us = now_ns_ / kUs;
  auto period = process.lookback.Take(now_us, ShowsAnybody(since_us) ? SampledUntil() / kUs : 0);
  if (!period) return;
  process.confirmed = false;
  int percent = Shown(process, since_us);
  const bool again = std::exchange(process.was_shown_none, percent < 0);
  const bool unknown = !process.pending.empty() || (process.feedback.fresh() && !again);
  if (percent < 0 && unknown) return process.feedback.Restart();
  percent = std::max(percent, 0);
  int64_t shown = 0;
  for (const auto& other : container.processes) shown += std::max(Shown(*other, since_us), 0);
  if (period->waited) {
    period->missing_percent = static_cast<int>(limit - shown);
    period->members = static_cast<unsigned>(container.processes.size());
  }
  period->limit_percent = static_cast<unsigned>(limit);
  const int64_t passing = static_cast<int64_t>(kPassingDebtNs) * limit / 100;
  const int64_t debt = -Bucket(container.words).tokens() - passing;
  period->debt_ns = debt > 0 ? static_cast<uint64_t>(debt) : 0;
  const auto correction = process.feedback.Add(process.k, static_cast<uint32_t>(percent), *period);
  if (correction.k != process.k) process.lookback.Moved(now_us);
  process.k = correction.k;
  process.credit_ns = int64_t{correction.credit_ms} * static_cast<int64_t>(kMs);
  Bucket(container.words)
      .GiveBack(static_cast<int64_t>(correction.give_back_ns), static_cast<uint32_t>(limit));
  process.confirmed = process.feedback.confirms();
}

}  // namespace hami::limiter::core::model
