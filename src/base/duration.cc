#include "base/duration.h"

#include <charconv>
#include <cmath>

namespace hami {
namespace {

double UnitNanoseconds(std::string_view unit) {
  if (unit == "ns") return 1;
  if (unit == "us" || unit == "\u00b5s") return 1e3;
  if (unit == "ms") return 1e6;
  if (unit == "s") return 1e9;
  if (unit == "m") return 60e9;
  return unit == "h" ? 3600e9 : 0;
}

std::string Decimal(int64_t value, int64_t unit) {
  std::string out = std::to_string(value / unit);
  int64_t rest = value % unit;
  if (rest == 0) return out;
  std::string digits = std::to_string(unit + rest).substr(1);
  digits.erase(digits.find_last_not_of('0') + 1);
  return out + "." + digits;
}

}  // namespace

Result<Duration> ParseDuration(std::string_view text) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument, "duration \"" + std::string(text) +
                                            "\": expected a value such as 5m, 28s or 1h30m");
  };
  std::string_view s = text;
  if (s == "0") return Duration(0);
  bool negative = !s.empty() && s[0] == '-';
  if (negative) s.remove_prefix(1);
  if (s.empty()) return bad();
  double total = 0;
  while (!s.empty()) {
    double number = 0;
    auto [end, ec] =
        std::from_chars(s.data(), s.data() + s.size(), number, std::chars_format::fixed);
    if (ec != std::errc() || s[0] == '-') return bad();
    s.remove_prefix(static_cast<size_t>(end - s.data()));
    size_t n = s.find_first_of("0123456789.");
    std::string_view unit = s.substr(0, n);
    double scale = UnitNanoseconds(unit);
    if (scale == 0) return bad();
    total += number * scale;
    s.remove_prefix(unit.size());
  }
  if (total > 9.2e18) return bad();
  return Duration(static_cast<int64_t>(std::llround(negative ? -total : total)));
}

std::string FormatDuration(Duration d) {
  int64_t ns = d.count();
  if (ns == 0) return "0s";
  if (ns < 0) return "-" + FormatDuration(-d);
  if (ns < 1'000) return std::to_string(ns) + "ns";
  if (ns < 1'000'000) return Decimal(ns, 1'000) + "\u00b5s";
  if (ns < 1'000'000'000) return Decimal(ns, 1'000'000) + "ms";
  std::string out;
  constexpr int64_t kMinute = 60'000'000'000;
  if (ns >= 60 * kMinute) out += std::to_string(ns / (60 * kMinute)) + "h";
  if (ns >= kMinute) out += std::to_string(ns / kMinute % 60) + "m";
  return out + Decimal(ns % kMinute, 1'000'000'000) + "s";
}

}  // namespace hami
