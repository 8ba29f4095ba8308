// PodCards: a Pod's decision as the plugin works through it (spec/protocol.md 4, 6).
//
// D (allocated) never changes and says which container has which shares; A (to-allocate) loses an
// entry when its container has been served. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/device.h"
#include "domain/model/pod.h"
#include "domain/protocol/names.h"

namespace hami::node {

// Which annotations and which resource belong to the vendor served here.
struct VendorWords {
  std::string word;
  protocol::VendorKeys keys;
  std::string resource;  // the count resource
};

struct PodCards {
  PodShares shares;           // one entry per container, from D (or from A without D)
  std::vector<bool> pending;  // per container: its entry of A is not emptied
  PodShares raw;              // A as written
  std::vector<std::optional<size_t>> raw_index;  // per container: its entry in `raw`
};

// How many cards of the vendor each container asks for, by limits or requests.
std::vector<int> RequestedCounts(const Pod& pod, const std::string& resource);

// Errors: kNotFound "device request not found" without A; kInvalidArgument when it does not decode.
Result<PodCards> ReadPodCards(const Pod& pod, const VendorWords& words);

// A after the given containers have been served.
std::string ToAllocateAfter(const PodCards& cards, const std::vector<bool>& served);

// True when every to-allocate annotation, of any vendor, is empty, reading `own` in place of the
// one under `own_key` (a Pod with two vendors' cards is complete only when both have served it).
bool NothingToAllocate(const Pod& pod, std::string_view own_key, std::string_view own);

}  // namespace hami::node
