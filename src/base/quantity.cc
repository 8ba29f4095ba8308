#include "base/quantity.h"

#include <charconv>
#include <limits>
#include <string>

namespace hami {
namespace {

__extension__ using Wide = unsigned __int128;

struct Scale {
  int ten = 0;  // power of ten
  int two = 0;  // power of two
};

// The suffix after the digits; false when it is none of the grammar's.
bool ParseSuffix(std::string_view s, Scale& scale) {
  struct Row {
    std::string_view name;
    Scale scale;
  };
  static constexpr Row kRows[] = {
      {"", {0, 0}},    {"n", {-9, 0}},  {"u", {-6, 0}},  {"m", {-3, 0}},
      {"k", {3, 0}},   {"M", {6, 0}},   {"G", {9, 0}},   {"T", {12, 0}},
      {"P", {15, 0}},  {"E", {18, 0}},  {"Ki", {0, 10}}, {"Mi", {0, 20}},
      {"Gi", {0, 30}}, {"Ti", {0, 40}}, {"Pi", {0, 50}}, {"Ei", {0, 60}},
  };
  for (const Row& row : kRows) {
    if (row.name == s) {
      scale = row.scale;
      return true;
    }
  }
  if (s.size() < 2 || (s[0] != 'e' && s[0] != 'E')) return false;
  std::string_view digits = s.substr(s[1] == '+' ? 2 : 1);
  int exponent = 0;
  auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
  if (ec != std::errc() || end != digits.data() + digits.size()) return false;
  if (exponent > 1000 || exponent < -1000) return false;
  scale.ten = exponent;
  return true;
}

// mantissa * 10^ten * 2^two, rounded up, with saturation.
Quantity Evaluate(Wide mantissa, Scale scale, bool negative) {
  constexpr Wide kMax = static_cast<Wide>(std::numeric_limits<int64_t>::max());
  Quantity out;
  for (int i = 0; i < scale.two && mantissa <= kMax << 20; ++i) mantissa *= 2;
  for (int i = 0; i < scale.ten && mantissa <= kMax; ++i) mantissa *= 10;
  Wide divisor = 1;
  for (int i = 0; i > scale.ten && divisor <= mantissa; --i) divisor *= 10;
  out.integral = mantissa % divisor == 0;
  Wide whole = mantissa / divisor + (out.integral ? 0 : 1);
  out.saturated = whole > kMax;
  out.value = static_cast<int64_t>(out.saturated ? kMax : whole);
  if (negative) out.value = -out.value;
  return out;
}

}  // namespace

Result<Quantity> ParseQuantity(std::string_view text) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument,
                "quantity \"" + std::string(text.substr(0, 64)) +
                    "\": expected a number with an optional suffix such as k, M, Gi or e3");
  };
  std::string_view s = text;
  bool negative = !s.empty() && s[0] == '-';
  if (!s.empty() && (s[0] == '-' || s[0] == '+')) s.remove_prefix(1);
  Wide mantissa = 0;
  int fraction = 0;
  bool any = false;
  bool dot = false;
  bool sticky = false;  // digits beyond what fits
  size_t i = 0;
  for (; i < s.size() && (s[i] == '.' || (s[i] >= '0' && s[i] <= '9')); ++i) {
    if (s[i] == '.') {
      if (dot) return bad();
      dot = true;
      continue;
    }
    any = true;
    bool full = mantissa > (static_cast<Wide>(1) << 90);
    if (full && !dot) return bad();
    if (full) {
      sticky = sticky || s[i] != '0';
      continue;
    }
    mantissa = mantissa * 10 + static_cast<unsigned>(s[i] - '0');
    if (dot) ++fraction;
  }
  Scale scale;
  if (!any || !ParseSuffix(s.substr(i), scale)) return bad();
  scale.ten -= fraction;
  Quantity out = Evaluate(mantissa, scale, negative);
  if (sticky) out.integral = false;
  return out;
}

}  // namespace hami
