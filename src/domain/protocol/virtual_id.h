// Virtual ids: how one card stands as many devices before the kubelet (spec/device-plugin.md 4).
//
// Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace hami::protocol {

// "GPU-6f3...-7": the k-th share slot of a card.
std::string VirtualId(std::string_view uuid, int k);

// The card behind a virtual id: cut at "::" if there is one (time-slicing replicas), else without
// the number behind the sixth dash; any other id is itself.
std::string_view CardOfVirtualId(std::string_view id);

}  // namespace hami::protocol
