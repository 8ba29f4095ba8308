#include "limiter/core/shared.h"

#include <atomic>

namespace hami::limiter::core {
namespace {

constexpr uint64_t kLongestNs = (uint64_t{1} << HAMI_FUNCTION_NS_BITS) - 1;
constexpr uint64_t kTag = ~uint64_t{0} << HAMI_FUNCTION_TAG_SHIFT;
constexpr int64_t kLater = 5'000'000'000;
constexpr uint32_t kMostMet = 15, kEnoughMet = 8;

uint64_t Load(uint64_t& word) { return std::atomic_ref(word).load(std::memory_order_relaxed); }

// A shortest sample, and how many were about as short.
struct Span {
  uint64_t ns = 0;
  uint32_t met = 0;
};

Span SpanIn(uint64_t word, uint64_t key) {
  if (((word ^ key) & kTag) != 0) return {};  // meant for another function
  return {word & kLongestNs, static_cast<uint32_t>(word >> HAMI_FUNCTION_NS_BITS) & kMostMet};
}
uint64_t WordOf(const Span& span, uint64_t key) {
  return (key & kTag) | uint64_t{span.met} << HAMI_FUNCTION_NS_BITS | span.ns;
}

Span Joined(const Span& a, const Span& b) {
  if (a.ns == 0) return b;
  if (b.ns == 0) return a;
  Span shorter = a.ns < b.ns ? a : b;
  const Span& longer = a.ns < b.ns ? b : a;
  if (IsAbout(longer.ns, shorter.ns)) shorter.met += longer.met;
  if (shorter.met > kMostMet) shorter.met = kMostMet;
  return shorter;
}

// A time ahead of now is another process's that read the clock a moment later; far ahead, one from
// before the machine's last start: as old as can be.
uint64_t Age(uint64_t began_ns, uint64_t now_ns) {
  const auto ahead = static_cast<int64_t>(began_ns - now_ns);
  return ahead > 0 && ahead < kLater ? 0 : now_ns - began_ns;
}

}  // namespace

SharedEstimates SharedEstimates::Of(HamiRegion& region) {
  const HamiExtHeader& header = region.ext.header;
  const bool known = header.functions_offset == offsetof(HamiExtBlock, functions) &&
                     header.function_stride == sizeof(HamiExtFunction) &&
                     header.function_count == HAMI_EXT_FUNCTIONS;
  return known ? SharedEstimates(region.ext.functions, HAMI_EXT_FUNCTIONS) : SharedEstimates();
}

// The function's entry: one that it has, that is free, or that nobody used for a minute.
HamiExtFunction* SharedEstimates::Find(uint64_t key, uint64_t now_ns) const {
  HamiExtFunction* forgotten = nullptr;
  uint64_t former_key = 0;
  for (uint32_t probe = 0; probe < kMostProbes && probe < count_; ++probe) {
    HamiExtFunction& entry = table_[((key >> 8) + probe) % count_];
    uint64_t seen = Load(entry.key);
    if (seen == 0 && std::atomic_ref(entry.key).compare_exchange_strong(seen, key)) seen = key;
    if (seen == key) return &entry;
    if (forgotten == nullptr && Age(Load(entry.began_ns), now_ns) >= kForgottenNs) {
      forgotten = &entry;
      former_key = seen;
    }
  }
  const bool taken = forgotten != nullptr &&
                     std::atomic_ref(forgotten->key).compare_exchange_strong(former_key, key);
  return taken ? forgotten : nullptr;
}

void SharedEstimates::BeginSpan(HamiExtFunction& function, uint64_t key, uint64_t now_ns,
                                bool confirmed) {
  uint64_t began = Load(function.began_ns);
  const uint64_t age = Age(began, now_ns);
  if (age < kSpanNs || !std::atomic_ref(function.began_ns).compare_exchange_strong(began, now_ns)) {
    return;
  }
  uint64_t former = Load(function.current);
  const Span current = SpanIn(former, key);
  Span kept = age < 2 * kSpanNs ? current : Span();
  if (confirmed) kept = Joined(current, SpanIn(Load(function.former), key));
  std::atomic_ref(function.former).store(WordOf(kept, key), std::memory_order_relaxed);
  std::atomic_ref(function.current).compare_exchange_strong(former, 0);  // a newer sample stays
}

Shortest SharedEstimates::Exchange(uint64_t key, uint64_t ns, uint64_t now_ns,
                                   bool confirmed) const {
  const bool shares = key != 0 && count_ != 0 && ns <= kLongestNs;
  HamiExtFunction* function = shares ? Find(key, now_ns) : nullptr;
  if (function == nullptr) return {};
  BeginSpan(*function, key, now_ns, confirmed);
  const Span sample = {ns == 0 ? 1 : ns, 1};
  std::atomic_ref current(function->current);
  uint64_t seen = current.load(std::memory_order_relaxed);
  Span now;
  do {
    now = Joined(SpanIn(seen, key), sample);
  } while (WordOf(now, key) != seen &&
           !current.compare_exchange_weak(seen, WordOf(now, key), std::memory_order_relaxed));
  const Span all = Joined(now, SpanIn(Load(function->former), key));
  return {all.ns, all.met >= kEnoughMet};
}

}  // namespace hami::limiter::core
