// Score: how full nodes and cards are (spec/scheduler.md 7). Pure, any thread.
#pragma once

#include "domain/model/cluster.h"
#include "domain/model/request.h"

namespace hami::policy {

// 10 * (slots + cores + memory used, each as a fraction of the node's total), over all vendors,
// before the Pod; 0 if a total is 0.
double NodeScore(const NodeState& node);

// Shares, cores and memory that one container asks of one card.
struct CardDemand {
  int64_t slots = 0;
  int64_t cores = 0;
  int64_t memory = 0;   // MiB
  int64_t percent = 0;  // of the card's memory; counts instead of `memory` when not 0
};

// 10 * weighted fractions with the container's demand counted; 0 if a total is 0.
double CardScore(const Device& device, const DeviceUsage& usage, const CardDemand& demand,
                 const ScoreWeights& weights);

}  // namespace hami::policy
