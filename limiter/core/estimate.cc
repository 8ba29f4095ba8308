#include "limiter/core/estimate.h"

namespace hami::limiter::core {

bool Function::CountLaunch(uint32_t noise) {
  if (CountUnsampled()) return false;
  const uint32_t count = launches_.load(std::memory_order_relaxed) + 1;
  launches_.store(count, std::memory_order_relaxed);
  const uint64_t ns = estimate_ns();
  const uint64_t fitting = ns == 0 ? 1 : kSampleEveryNs / ns;
  const auto period = static_cast<uint32_t>(fitting < kRarestSample ? fitting : kRarestSample);
  // Half a period of noise: a program's own rhythm must not pick the samples.
  const uint32_t step = period <= 1 ? 1 : period / 2 + 1 + noise % period;
  next_sample_.store(count + step, std::memory_order_relaxed);
  return true;
}

// A quarter of them is forgotten each second, as feedback.h forgets what they took.
void Function::CountRecent(uint64_t now_ns) {
  while (recent_ >= 4 && static_cast<int64_t>(now_ns - aged_ns_) >= int64_t{kSecondNs}) {
    recent_ -= recent_ / 4;
    aged_ns_ += kSecondNs;
  }
  if (recent_ < 4) aged_ns_ = now_ns;
  const uint32_t count = launches_.load(std::memory_order_relaxed);
  recent_ += count - counted_;
  counted_ = count;
}

// That three samples are as short as the shortest is no accident: what others do in between would
// have to be alike each time.
bool Function::Meets(uint64_t ns, uint64_t before_ns, uint64_t estimate_ns) {
  if (!IsAbout(before_ns, estimate_ns)) met_ = 0;
  met_ = met_ << 1 | (IsAbout(ns, estimate_ns) ? 1u : 0u);
  const uint32_t but_one = met_ & (met_ - 1u), but_two = but_one & (but_one - 1);
  return but_two != 0;
}

Function::Learned Function::Learn(uint64_t ns, uint64_t now_ns, bool confirmed,
                                  const Shortest& shared) {
  if (learning_.exchange(1, std::memory_order_acquire) != 0) return {};  // one sample less
  if (ns == 0) ns = 1;
  if (in_group_ == kGroupSize && now_ns - group_began_ns_ >= kGroupNs) {
    group_ = static_cast<uint8_t>((group_ + 1) % kGroups);
    in_group_ = 0;
    minima_[group_] = confirmed ? own_ns_ : 0;
  }
  uint64_t& minimum = minima_[group_];
  if (in_group_ == 0) group_began_ns_ = now_ns;
  if (minimum == 0 || ns < minimum) minimum = ns;
  if (in_group_ < kGroupSize) ++in_group_;
  uint64_t shortest = ns;
  for (const uint64_t one : minima_) {
    if (one != 0 && one < shortest) shortest = one;
  }
  own_ns_ = shortest;
  if (shared.ns != 0 && shared.ns < shortest) shortest = shared.ns;
  CountRecent(now_ns);
  Learned learned;
  const uint32_t guesses = guesses_.load(std::memory_order_relaxed);
  const uint64_t before = learned.before_ns = estimate_ns();
  learned.after_ns = shortest;
  if (before > shortest) learned.overcharged = recent_;
  // The first estimate is what launches at a guess are charged after all.
  if (before < shortest) recent_ = before == 0 ? guesses : 0;
  const bool met = Meets(ns, before, shortest);
  steady_.store(met || (shared.met && shared.ns == shortest), std::memory_order_relaxed);
  if (before != shortest) estimate_ns_.store(shortest, std::memory_order_relaxed);
  if (guesses != 0) {
    guesses_.fetch_sub(guesses, std::memory_order_relaxed);
    learned.missing_ns = static_cast<int64_t>(shortest * guesses) -
                         static_cast<int64_t>(guessed_ns_.exchange(0, std::memory_order_relaxed));
  }
  learning_.store(0, std::memory_order_release);
  return learned;
}

Function& Functions::Search(uint64_t key, uint32_t at) {
  for (uint32_t probe = 0; probe < kMostProbes; ++probe, at = (at + 1) & (kSize - 1)) {
    uint64_t seen = table_[at].key_.load(std::memory_order_relaxed);
    if (seen == 0 && table_[at].key_.compare_exchange_strong(seen, key)) seen = key;
    if (seen == key) return table_[at];
  }
  return rest_;
}

}  // namespace hami::limiter::core
