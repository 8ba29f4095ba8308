// Topology: the set of cards with the best links among them (spec/vendors.md B.1). Pure, any
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hami::policy {

// Beyond this many sets the choice is greedy.
inline constexpr int64_t kMaxSubsets = 20'000;

// `count` positions out of `cards` (indexes of cards, most preferred first), by link scores
// (row-major, `width` x `width`, over card indexes; empty: all 0). One card: the one whose links to
// the others are worth least; several: the set with the largest sum. Ties: the first in preference
// order. Needs 1 <= count <= cards.size(). Returns card indexes in preference order.
std::vector<size_t> BestLinked(std::span<const size_t> cards, size_t count,
                               std::span<const int32_t> pair_scores, size_t width);

}  // namespace hami::policy
