#include "domain/policy/score.h"

namespace hami::policy {
namespace {

double Fraction(int64_t part, int64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

double NodeScore(const NodeState& node) {
  DeviceUsage used;
  DeviceUsage total;
  for (const auto& [word, set] : node.cards) {
    for (size_t i = 0; i < set.devices.size(); ++i) {
      used += set.usage[i];
      total.slots += set.devices[i].count;
      total.memory += set.devices[i].memory;
      total.cores += set.devices[i].cores;
    }
  }
  if (total.slots == 0 || total.memory.value == 0 || total.cores.value == 0) return 0;
  return 10 * (Fraction(used.slots, total.slots) + Fraction(used.cores.value, total.cores.value) +
               Fraction(used.memory.value, total.memory.value));
}

double CardScore(const Device& device, const DeviceUsage& usage, const CardDemand& demand,
                 const ScoreWeights& weights) {
  int64_t total = device.memory.value;
  if (device.count == 0 || device.cores.value == 0 || total == 0) return 0;
  int64_t memory = demand.percent != 0 ? total * demand.percent / 100 : demand.memory;
  return 10 *
         (static_cast<double>(weights.slot) * Fraction(demand.slots + usage.slots, device.count) +
          static_cast<double>(weights.core) *
              Fraction(demand.cores + usage.cores.value, device.cores.value) +
          static_cast<double>(weights.memory) * Fraction(memory + usage.memory.value, total));
}

}  // namespace hami::policy
