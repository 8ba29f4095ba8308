#include "limiter/env/number.h"

namespace hami::limiter::env {
namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t'; }
bool IsDigit(char c) { return c >= '0' && c <= '9'; }
char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsBlank(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsBlank(text.back())) text.remove_suffix(1);
  return text;
}

int HexValue(char c) {
  c = Lower(c);
  if (IsDigit(c)) return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

// Moves the digits of `base` at the front of `text` into a number.
std::optional<uint64_t> TakeDigits(std::string_view& text, unsigned base) {
  uint64_t value = 0;
  bool any = false;
  while (!text.empty()) {
    const int digit = base == 16              ? HexValue(text.front())
                      : IsDigit(text.front()) ? text.front() - '0'
                                              : -1;
    if (digit < 0) break;
    if (__builtin_mul_overflow(value, uint64_t{base}, &value) ||
        __builtin_add_overflow(value, static_cast<uint64_t>(digit), &value)) {
      return std::nullopt;
    }
    any = true;
    text.remove_prefix(1);
  }
  return any ? std::optional(value) : std::nullopt;
}

// 1, 2^10, ... for "", "k", "KiB", ...
std::optional<uint64_t> Multiplier(std::string_view suffix) {
  if (suffix.empty()) return 1;
  unsigned shift = 0;
  switch (Lower(suffix.front())) {
    case 'k':
      shift = 10;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
    case 't':
      shift = 40;
      break;
    default:
      return std::nullopt;
  }
  suffix.remove_prefix(1);
  if (!suffix.empty() && Lower(suffix.front()) == 'i') suffix.remove_prefix(1);
  if (!suffix.empty() && Lower(suffix.front()) == 'b') suffix.remove_prefix(1);
  return suffix.empty() ? std::optional(uint64_t{1} << shift) : std::nullopt;
}

// floor(0.<digits> * multiplier), from the last digit to the first so that no step overflows.
uint64_t FractionOf(std::string_view digits, uint64_t multiplier) {
  uint64_t value = 0;
  for (size_t i = digits.size(); i > 0; --i) {
    value = (value + static_cast<uint64_t>(digits[i - 1] - '0') * multiplier) / 10;
  }
  return value;
}

}  // namespace

std::optional<uint64_t> ParseSize(std::string_view text) {
  text = Trim(text);
  if (text.empty()) return 0;
  const bool hex = text.size() > 2 && text[0] == '0' && Lower(text[1]) == 'x';
  if (hex) text.remove_prefix(2);
  const auto whole = TakeDigits(text, hex ? 16 : 10);
  if (!whole) return std::nullopt;
  std::string_view fraction;
  if (!hex && !text.empty() && text.front() == '.') {
    text.remove_prefix(1);
    const char* begin = text.data();
    while (!text.empty() && IsDigit(text.front())) text.remove_prefix(1);
    fraction = std::string_view(begin, static_cast<size_t>(text.data() - begin));
    if (fraction.empty()) return std::nullopt;
  }
  const auto multiplier = Multiplier(Trim(text));
  if (!multiplier) return std::nullopt;
  uint64_t bytes = 0;
  if (__builtin_mul_overflow(*whole, *multiplier, &bytes) ||
      __builtin_add_overflow(bytes, FractionOf(fraction, *multiplier), &bytes)) {
    return std::nullopt;
  }
  return bytes;
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  text = Trim(text);
  const bool negative = !text.empty() && text.front() == '-';
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
  const auto value = TakeDigits(text, 10);
  if (!value || !text.empty() || *value > INT64_MAX) return std::nullopt;
  return negative ? -static_cast<int64_t>(*value) : static_cast<int64_t>(*value);
}

}  // namespace hami::limiter::env
