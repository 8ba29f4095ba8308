#include "domain/policy/topology.h"

#include <algorithm>
#include <limits>

#include "base/result.h"

namespace hami::policy {
namespace {

class Links {
 public:
  Links(std::span<const size_t> cards, std::span<const int32_t> scores, size_t width)
      : cards_(cards), scores_(scores), width_(width) {}

  // Between two positions of `cards`; one direction, from the lower card to the higher.
  int64_t Between(size_t a, size_t b) const {
    if (scores_.empty()) return 0;
    auto [low, high] = std::minmax(cards_[a], cards_[b]);
    return scores_[low * width_ + high];
  }
  int64_t ToAll(size_t a, std::span<const size_t> others) const {
    int64_t sum = 0;
    for (size_t b : others) sum += a == b ? 0 : Between(a, b);
    return sum;
  }

 private:
  std::span<const size_t> cards_;
  std::span<const int32_t> scores_;
  size_t width_;
};

// n over k, stopping early beyond the limit.
bool TooManySubsets(size_t n, size_t k) {
  int64_t sets = 1;
  for (size_t i = 1; i <= k; ++i) {
    sets = sets * static_cast<int64_t>(n - k + i) / static_cast<int64_t>(i);
    if (sets > kMaxSubsets) return true;
  }
  return false;
}

// Next set in lexicographic order; false after the last.
bool Advance(std::vector<size_t>& set, size_t n) {
  size_t k = set.size();
  for (size_t i = k; i-- > 0;) {
    if (set[i] == n - k + i) continue;
    ++set[i];
    for (size_t j = i + 1; j < k; ++j) set[j] = set[j - 1] + 1;
    return true;
  }
  return false;
}

std::vector<size_t> Exhaustive(const Links& links, size_t n, size_t k) {
  std::vector<size_t> set(k);
  for (size_t i = 0; i < k; ++i) set[i] = i;
  std::vector<size_t> best = set;
  int64_t best_sum = -1;
  do {
    int64_t sum = 0;
    for (size_t i = 0; i < k; ++i) {
      for (size_t j = i + 1; j < k; ++j) sum += links.Between(set[i], set[j]);
    }
    if (sum > best_sum) best_sum = sum, best = set;
  } while (Advance(set, n));
  return best;
}

// From each start, always the card that adds most; the best of all starts.
std::vector<size_t> Greedy(const Links& links, size_t n, size_t k) {
  std::vector<size_t> best;
  int64_t best_sum = -1;
  for (size_t start = 0; start < n; ++start) {
    std::vector<size_t> set = {start};
    int64_t sum = 0;
    while (set.size() < k) {
      size_t next = n;
      int64_t gain = -1;
      for (size_t i = 0; i < n; ++i) {
        if (std::ranges::find(set, i) != set.end()) continue;
        int64_t add = links.ToAll(i, set);
        if (add > gain) gain = add, next = i;
      }
      set.push_back(next);
      sum += gain;
    }
    if (sum > best_sum) best_sum = sum, best = set;
  }
  std::ranges::sort(best);
  return best;
}

size_t LeastLinked(const Links& links, size_t n) {
  std::vector<size_t> all(n);
  for (size_t i = 0; i < n; ++i) all[i] = i;
  size_t best = 0;
  int64_t best_sum = std::numeric_limits<int64_t>::max();
  for (size_t i = 0; i < n; ++i) {
    int64_t sum = links.ToAll(i, all);
    if (sum < best_sum) best_sum = sum, best = i;
  }
  return best;
}

}  // namespace

std::vector<size_t> BestLinked(std::span<const size_t> cards, size_t count,
                               std::span<const int32_t> pair_scores, size_t width) {
  CHECK(count >= 1 && count <= cards.size());
  Links links(cards, pair_scores, width);
  std::vector<size_t> chosen;
  if (count == 1) {
    chosen = {LeastLinked(links, cards.size())};
  } else if (TooManySubsets(cards.size(), count)) {
    chosen = Greedy(links, cards.size(), count);
  } else {
    chosen = Exhaustive(links, cards.size(), count);
  }
  for (size_t& position : chosen) position = cards[position];
  return chosen;
}

}  // namespace hami::policy
