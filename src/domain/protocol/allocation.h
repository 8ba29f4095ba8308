// Allocation strings: which shares of which cards a Pod's containers got (spec/protocol.md 4).
//
//   pod := container* ; container := device* ";" ; device := uuid "," word "," MiB "," cores ":"
//
// One entry per container, init containers first. Pure, any thread.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "domain/model/device.h"
#include "domain/model/pod.h"

namespace hami::protocol {

// Byte-exact: exactly one entry per element of `shares`.
std::string EncodeAllocation(const PodShares& shares);

// The entries as written; the empty piece behind the last ";" is no entry. Historic padding
// (",,0,0:") reads as an empty entry. Errors: kInvalidArgument with the reference's texts.
Result<PodShares> DecodeAllocation(std::string_view text);

// Exactly one entry per container. Strings of the reference may be short (its padding defect): when
// entries are fewer than containers, the non-empty ones belong, in order, to the containers that
// request this vendor. When that cannot be (counts differ), positions are kept as they are, so that
// no charge is lost. `requests` has one element per container.
PodShares AlignToContainers(PodShares entries, const std::vector<bool>& requests);

// The plugin's way through A: index of the first entry not served yet, and the string with that
// entry emptied and all separators kept.
std::optional<size_t> FirstPending(const PodShares& entries);
PodShares WithoutEntry(PodShares entries, size_t index);

// "GPU-a[0-3]" (reference up to 2.8) names card "GPU-a".
std::string_view PhysicalUuid(std::string_view uuid);

// True when the id can stand in an allocation string: not empty, none of , : ;
bool IsUsableDeviceId(std::string_view id);

}  // namespace hami::protocol
