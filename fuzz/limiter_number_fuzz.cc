// The limiter's numbers against a slow reading of the same grammar in 128 bits.
#include <optional>

#include "fuzz/fuzz.h"
#include "limiter/env/number.h"

namespace {

using Wide = unsigned __int128;

// <blanks> digits [. digits] <blanks> [k|m|g|t [i] [b]] <blanks>; nothing for other texts, for
// hexadecimal ones (not read here) and for what does not fit.
std::optional<uint64_t> Slow(std::string text) {
  const auto strip = [&text] {
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
  };
  strip();
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  int shift = 0;
  constexpr std::string_view kUnits = "kmgt";
  constexpr std::string_view kEndings[] = {"ib", "i", "b", ""};
  for (const std::string_view ending : kEndings) {
    if (shift > 0 || !text.ends_with(ending) || text.size() == ending.size()) continue;
    const size_t unit = kUnits.find(text[text.size() - ending.size() - 1]);
    if (unit == std::string_view::npos) continue;
    shift = static_cast<int>(unit + 1) * 10;
    text.resize(text.size() - ending.size() - 1);
  }
  strip();
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.erase(0, 1);
  Wide whole = 0;
  size_t at = 0;
  for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at) {
    whole = whole * 10 + static_cast<unsigned>(text[at] - '0');
    if (whole > UINT64_MAX) return std::nullopt;
  }
  if (at == 0) return std::nullopt;
  Wide fraction = 0;
  if (at < text.size() && text[at] == '.') {
    const size_t first = ++at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    if (at == first) return std::nullopt;
    // floor(0.ddd * 2^shift), digit by digit from the last.
    for (size_t i = at; i > first; --i) {
      fraction = (fraction + (Wide(text[i - 1] - '0') << shift)) / 10;
    }
  }
  if (at != text.size()) return std::nullopt;
  const Wide bytes = (whole << shift) + fraction;
  return bytes > UINT64_MAX ? std::nullopt : std::optional(static_cast<uint64_t>(bytes));
}

}  // namespace

FUZZ_TARGET(text) {
  const auto size = hami::limiter::env::ParseSize(text);
  const bool blank = text.find_first_not_of(" \t") == std::string_view::npos;
  if (blank) FUZZ_CHECK(size == 0u);
  if (!blank && text.find_first_of("xX") == std::string_view::npos) {
    FUZZ_CHECK(size == Slow(std::string(text)));
  }
  if (size) FUZZ_CHECK(hami::limiter::env::ParseSize(std::to_string(*size)) == size);
  const auto integer = hami::limiter::env::ParseInteger(text);
  if (integer) {
    FUZZ_CHECK(hami::limiter::env::ParseInteger(std::to_string(*integer)) == integer);
  }
}
