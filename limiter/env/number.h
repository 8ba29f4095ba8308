// The strict number syntax of limits (spec A2, OURS). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace hami::limiter::env {

// Bytes of "3000m", "0.5 g", "512MiB", "0x200m"; all suffixes binary, any case; "" is 0.
// Nothing for any other text and for what does not fit 64 bits.
std::optional<uint64_t> ParseSize(std::string_view text);

// A decimal integer with optional sign and blanks around it.
std::optional<int64_t> ParseInteger(std::string_view text);

}  // namespace hami::limiter::env
