// PodRequest: what a Pod asks of cards, compiled once so that thousands of nodes can be tried
// quickly.
//
// Produced by domain/policy/compile.h; plain values, no threads. Annotations are parsed here and
// never again: lists are split, words lower-cased, policies turned into sort keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "domain/model/device.h"
#include "domain/model/pod.h"

namespace hami {

enum class NodePolicy : uint8_t { kBinpack, kSpread };

// Preference among cards: the first key that differs decides; then the card registered last wins
// (spec/scheduler.md 7.2, turned around: there the list is walked from its end).
enum class CardKey : uint8_t { kScoreHigh, kScoreLow, kUsedLow, kNumaHigh, kNumaLow };

struct CardPolicy {
  std::vector<CardKey> order;
  bool mutex = false;     // busy cards are refused
  bool topology = false;  // the set with the best links wins
  bool operator==(const CardPolicy&) const = default;
};

// hami.io/device-scoring-weights
struct ScoreWeights {
  int64_t slot = 1;
  int64_t core = 1;
  int64_t memory = 1;
  bool operator==(const ScoreWeights&) const = default;
};

// Which cards a Pod accepts. An empty list is no constraint.
struct CardSelector {
  std::vector<std::string> use_types;  // lower case; a card passes if its model contains one
  std::vector<std::string> nouse_types;
  std::vector<std::string> use_uuids;  // exact
  std::vector<std::string> nouse_uuids;
  std::optional<std::string> modes;  // a card passes if its mode occurs in this text or is empty
  bool operator==(const CardSelector&) const = default;
};

// Which of the standard tests a vendor's cards undergo (spec/vendors.md A.6); part of its
// descriptor.
struct FitRules {
  bool cordon = false;      // S2
  bool numa_bind = false;   // S4
  bool whole_card = false;  // S12: 100 cores means alone on the card, whatever the core scaling
  bool free_core = false;   // S13: a request without cores needs a card with cores left
  bool mig = false;         // S14: cards in mode "mig" are cut into instances
  bool operator==(const FitRules&) const = default;
};

// What the Pod asks of one vendor. `containers` runs parallel to Pod::containers; count 0 =
// nothing.
struct VendorRequest {
  std::string word;  // "NVIDIA"
  FitRules rules;
  CardSelector select;
  std::vector<ContainerRequest> containers;
  bool operator==(const VendorRequest&) const = default;
};

struct PodRequest {
  std::vector<ContainerKind> kinds;    // of Pod::containers
  std::vector<std::string> names;      // of Pod::containers, for explanations
  std::vector<VendorRequest> vendors;  // only vendors asked for, in the registry's order
  NodePolicy node_policy = NodePolicy::kBinpack;
  CardPolicy card_policy;
  ScoreWeights weights;
  bool numa_bind = false;
  bool operator==(const PodRequest&) const = default;
};

}  // namespace hami
