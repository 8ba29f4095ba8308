#include "tests/limiter/judge.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "sim/core/timeline.h"

namespace hami::limiter::testing {
namespace {

constexpr auto kBucket = static_cast<int64_t>(sim::kBucketNs);

}  // namespace

Judge::Judge(const std::string& state_path, int64_t slice_ns) : slice_ns_(slice_ns) {
  sim::ReadError error;
  if (!ledger_.Open(state_path.c_str(), true, error)) {
    fprintf(stderr, "judge: %s\n", error.text);
    abort();
  }
}

Judge::~Judge() { ledger_.Close(); }

void Judge::Begin(int card) {
  card_ = card;
  first_ = last_ = before_ = sim::NowMonotonicNs() / kBucket;
  busy_ns_.clear();
  recent_ns_.clear();
}

void Judge::Look() {
  sim::Timeline{ledger_, slice_ns_}.Advance(card_);
  const sim::StateFile& file = *ledger_.file();
  const int64_t now = sim::NowMonotonicNs() / kBucket;
  recent_ns_.clear();
  const int high = file.slots_high.load();
  for (int slot = 0; slot < high; ++slot) {
    const uint64_t busy = sim::BusyBetween(file.rings[slot][card_], last_ * kBucket, now * kBucket);
    busy_ns_[file.slots[slot].pid] += busy;
    recent_ns_[file.slots[slot].pid] += busy;
  }
  before_ = last_;
  last_ = now;
}

double Judge::Share(pid_t pid) const { return Share(std::vector<pid_t>{pid}); }

double Judge::Share(const std::vector<pid_t>& pids) const {
  uint64_t busy = 0;
  for (const pid_t pid : pids) {
    const auto found = busy_ns_.find(pid);
    if (found != busy_ns_.end()) busy += found->second;
  }
  return last_ == first_
             ? 0
             : 100.0 * static_cast<double>(busy) / static_cast<double>((last_ - first_) * kBucket);
}

double Judge::LastShare(const std::vector<pid_t>& pids) const {
  uint64_t busy = 0;
  for (const pid_t pid : pids) {
    const auto found = recent_ns_.find(pid);
    if (found != recent_ns_.end()) busy += found->second;
  }
  return last_ == before_
             ? 0
             : 100.0 * static_cast<double>(busy) / static_cast<double>((last_ - before_) * kBucket);
}

void Judge::Watch(double seconds) {
  const int64_t end = sim::NowMonotonicNs() + static_cast<int64_t>(seconds * 1e9);
  while (sim::NowMonotonicNs() < end) {
    const int64_t left = end - sim::NowMonotonicNs();
    usleep(static_cast<useconds_t>((left < 250'000'000 ? left : 250'000'000) / 1000 + 1));
    Look();
  }
}

}  // namespace hami::limiter::testing
