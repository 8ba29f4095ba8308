// Digests for names that must come out the same each time. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace hami::node {

std::string Sha256Hex(std::string_view data);
// A name-based UUID (version 8, ours) of `data`: same input, same text.
std::string StableUuid(std::string_view data);

}  // namespace hami::node
