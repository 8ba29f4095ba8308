// The scheduler's pure parts at the size that design.md promises: 5,000 nodes with 8 cards.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "bench/scheduler/card.h"
#include "domain/policy/fit.h"
#include "domain/policy/test_builders.h"
#include "domain/protocol/allocation.h"
#include "domain/protocol/register_annotation.h"

namespace hami {
namespace {

using policy::testing::Ask;
using policy::testing::Card;

constexpr int kNodes = 5000;
constexpr int kCards = 8;

// Nodes whose cards are used a little, each differently.
std::vector<NodeState> Fleet() {
  std::vector<NodeState> nodes;
  for (int n = 0; n < kNodes; ++n) {
    std::vector<Card> cards;
    for (int c = 0; c < kCards; ++c) {
      const int64_t used = (n * 7 + c * 13) % 60;
      cards.push_back({.id = "GPU-" + std::to_string(n) + "-" + std::to_string(c),
                       .memory = 81920,
                       .used = {.slots = 1, .memory = {used * 1024}, .cores = {used}},
                       .numa = c / 4});
    }
    nodes.push_back(policy::testing::MakeNode("node-" + std::to_string(n), cards));
  }
  return nodes;
}

void Decide(benchmark::State& state, const Ask& ask, bool fits) {
  const std::vector<NodeState> fleet = Fleet();
  std::vector<const NodeState*> candidates;
  for (const NodeState& node : fleet) candidates.push_back(&node);
  const PodRequest request = policy::testing::MakeRequest({ask});
  for (auto _ : state) {
    const policy::Decision decision = policy::Decide(candidates, request);
    if (decision.placement.has_value() != fits) state.SkipWithError("unexpected decision");
  }
}
BENCHMARK_CAPTURE(Decide, one_card_5000x8, Ask{.count = 1, .memory = 3000, .cores = 30}, true)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Decide, four_cards_5000x8, Ask{.count = 4, .memory = 3000, .cores = 30}, true)
    ->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(Decide, fits_nowhere_5000x8, Ask{.count = 1, .memory = 90000}, false)
    ->Unit(benchmark::kMicrosecond);

std::vector<Device> RegisteredCards() {
  std::vector<Device> devices;
  for (int c = 0; c < kCards; ++c) {
    devices.push_back(
        bench::H100("GPU-0fc3b4a1-7d3e-4d5c-9a21-00000000000" + std::to_string(c), c));
  }
  return devices;
}

// One node's annotation.
void DecodeRegister(benchmark::State& state, const std::string& text) {
  for (auto _ : state) {
    auto devices = protocol::DecodeRegister(text);
    if (!devices || devices->size() != kCards) state.SkipWithError("unexpected cards");
  }
}
void DecodeRegisterJson(benchmark::State& state) {
  DecodeRegister(state, protocol::EncodeRegisterJson(RegisteredCards()));
}
void DecodeRegisterCsv(benchmark::State& state) {
  DecodeRegister(state, protocol::EncodeRegisterCsv(RegisteredCards()));
}
BENCHMARK(DecodeRegisterJson);
BENCHMARK(DecodeRegisterCsv);

// One Pod's annotation: containers with one share each, and one with every card.
void DecodeAllocation(benchmark::State& state) {
  PodShares shares;
  for (const Device& device : RegisteredCards()) {
    shares.push_back({{device.id, "NVIDIA", {3000}, {30}}});
  }
  shares.emplace_back();
  for (const Device& device : RegisteredCards()) {
    shares.back().push_back({device.id, "NVIDIA", {3000}, {30}});
  }
  const std::string text = protocol::EncodeAllocation(shares);
  for (auto _ : state) {
    auto decoded = protocol::DecodeAllocation(text);
    if (!decoded || decoded->size() != shares.size()) state.SkipWithError("unexpected shares");
  }
}
BENCHMARK(DecodeAllocation);

}  // namespace
}  // namespace hami

BENCHMARK_MAIN();
