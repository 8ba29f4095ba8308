// Printable: text of strangers (users, drivers, files) as it may stand in a terminal, a log or an
// Event. Pure, any thread.
#pragma once

#include <string>
#include <string_view>

namespace hami {

// Control characters (newlines too), characters that turn the direction of writing, and bytes that
// are no UTF-8 become visible: "\n", "\x1b", "\u202e". All else stays as it is.
std::string Printable(std::string_view text);

// The same in quotes where something had to be escaped, so that it cannot pass for our own words.
std::string QuotedIfOdd(std::string_view text);

// The first `most` bytes at most, without half a character at the end.
std::string_view Head(std::string_view text, size_t most);

}  // namespace hami
