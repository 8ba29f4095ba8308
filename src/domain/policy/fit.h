// Fit: may this Pod run on this node, and on which cards; and on which node it should run.
//
// Rules: spec/scheduler.md 6 and 6.2, spec/vendors.md A.6 with its corrections; cards are charged
// as policy/charge.h charges them. Pure, any thread; the same input gives the same answer, with no
// ties left to chance (cards: the last registered; nodes: the smallest name).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "domain/model/cluster.h"
#include "domain/model/request.h"
#include "domain/model/verdict.h"

namespace hami::policy {

struct FitResult {
  std::optional<Placement> placement;
  NodeVerdict verdict;  // meaningful without a placement
};

FitResult FitNode(const NodeState& node, const PodRequest& request);

struct Decision {
  std::optional<Placement> placement;                   // on the best node
  std::vector<NodeVerdict> refusals;                    // in the order of the input
  std::vector<std::pair<std::string, double>> fitting;  // node and score, in the order of the input
};

Decision Decide(std::span<const NodeState* const> nodes, const PodRequest& request);

}  // namespace hami::policy
