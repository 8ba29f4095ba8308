// Verdict: why a Pod does or does not fit somewhere, as a value.
//
// Produced by domain/policy, turned into text in one place (domain/policy/explain.h) so that the
// event, the extender's failedNodes, the CLI and the console say the same words. Plain values.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "domain/model/device.h"

namespace hami {

// The fixed vocabulary of spec/scheduler.md 10, in the order in which a card's tests are made
// (6.2).
enum class Reason : uint8_t {
  kFits,
  kNodeUnregistered,      // "node unregistered"
  kNodeUsageUnavailable,  // cards, but what some Pod holds of them cannot be read
  kCardNotHealth,
  kCardCordoned,
  kCardTypeMismatch,
  kNumaNotFit,
  kCardUuidMismatch,
  kCardTimeSlicingExhausted,
  kResourceQuotaNotFit,
  kCardInsufficientMemory,
  kCardInsufficientCore,
  kExclusiveDeviceAllocateConflict,
  kCardComputeUnitsExhausted,
  kCardMigTopologyInfeasible,
  kCardNotFoundCustomFilterRule,
  kModeNotFit,
  kAllocatedCardsInsufficientRequest,
  kNodeInsufficientDevice,
  kNodeUnfitPod,
};
inline constexpr size_t kReasonCount = static_cast<size_t>(Reason::kNodeUnfitPod) + 1;

// How many cards met each reason. A fixed array: refusing 5,000 nodes allocates nothing.
class ReasonCounts {
 public:
  int32_t& operator[](Reason reason) { return counts_[static_cast<size_t>(reason)]; }
  int32_t operator[](Reason reason) const { return counts_[static_cast<size_t>(reason)]; }
  bool operator==(const ReasonCounts&) const = default;

 private:
  std::array<int32_t, kReasonCount> counts_{};
};

// The refusal of one node: how many of its cards failed which test, and the closest miss, both for
// the first container that found no place.
struct NodeVerdict {
  std::string node;
  Reason decisive = Reason::kFits;  // most frequent, ties in enum order
  std::string unreadable;           // kNodeUsageUnavailable: the Pod, "namespace/name"
  ReasonCounts cards;               // cards per reason
  int total_cards = 0;              // of the vendor asked for
  int container = -1;               // index into Pod::containers
  int vendor = -1;                  // index into PodRequest::vendors
  int free_cards = 0;               // cards that passed every test (fewer than asked for)
  MiB largest_free_memory;          // over healthy cards that pass type and UUID tests
  Percent largest_free_cores;
  MiB largest_card;               // total memory of the largest such card
  std::string largest_card_type;  // its model
  // What is there instead, of the first card refused for it: its model (with its mode where the Pod
  // names modes), its UUID.
  std::string wrong_type;
  std::string wrong_uuid;
  int numa_group = 0;  // kNumaNotFit: most cards of one NUMA node that passed every test
  bool operator==(const NodeVerdict&) const = default;
};

// Where a Pod would go: shares per vendor word.
struct Placement {
  std::string node;
  double score = 0;
  std::map<std::string, PodShares, std::less<>> shares;  // key: vendor word, e.g. "NVIDIA"
  bool operator==(const Placement&) const = default;
};

}  // namespace hami
