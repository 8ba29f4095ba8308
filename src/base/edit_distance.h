// "Did you mean": the known name nearest to what was typed. Pure.
#pragma once

#include <optional>
#include <span>
#include <string_view>

namespace hami {

// Nearest by edit distance, if within a third of the length (at least 2); ties: the first.
std::optional<std::string_view> NearestName(std::string_view typed,
                                            std::span<const std::string_view> known);

}  // namespace hami
