#include "domain/protocol/time_text.h"

#include <array>
#include <cstdio>

namespace hami::protocol {
namespace {

// Reads `width` digits at the front of `s`; -1 if they are not there.
int TakeDigits(std::string_view& s, size_t width) {
  if (s.size() < width) return -1;
  int value = 0;
  for (size_t i = 0; i < width; ++i) {
    if (s[i] < '0' || s[i] > '9') return -1;
    value = value * 10 + (s[i] - '0');
  }
  s.remove_prefix(width);
  return value;
}

bool TakeChar(std::string_view& s, char c) {
  if (s.empty() || s[0] != c) return false;
  s.remove_prefix(1);
  return true;
}

// ".123" in nanoseconds; digits beyond the ninth are dropped.
std::optional<int64_t> TakeFraction(std::string_view& s) {
  if (!TakeChar(s, '.')) return 0;
  int64_t nanos = 0;
  int digits = 0;
  while (!s.empty() && s[0] >= '0' && s[0] <= '9') {
    if (digits < 9) nanos = nanos * 10 + (s[0] - '0');
    ++digits;
    s.remove_prefix(1);
  }
  if (digits == 0) return std::nullopt;
  for (; digits < 9; ++digits) nanos *= 10;
  return nanos;
}

// "Z" or "+02:00", in seconds.
std::optional<int64_t> TakeZone(std::string_view& s) {
  if (TakeChar(s, 'Z')) return 0;
  if (s.empty() || (s[0] != '+' && s[0] != '-')) return std::nullopt;
  int sign = s[0] == '-' ? -1 : 1;
  s.remove_prefix(1);
  int hours = TakeDigits(s, 2);
  if (hours < 0 || hours > 23 || !TakeChar(s, ':')) return std::nullopt;
  int minutes = TakeDigits(s, 2);
  if (minutes < 0 || minutes > 59) return std::nullopt;
  return sign * (hours * 3600 + minutes * 60);
}

}  // namespace

std::optional<int64_t> DaysOf(int year, int month, int day) {
  if (month < 1 || month > 12 || day < 1) return std::nullopt;
  std::chrono::year_month_day date{std::chrono::year(year),
                                   std::chrono::month(static_cast<unsigned>(month)),
                                   std::chrono::day(static_cast<unsigned>(day))};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days(date).time_since_epoch().count();
}

std::optional<WallTime> ParseRfc3339(std::string_view s) {
  int year = TakeDigits(s, 4);
  // WallTime counts nanoseconds in 64 bits, 292 years: any two times accepted here can be
  // subtracted.
  if (year < 1970 || year > 2261 || !TakeChar(s, '-')) return std::nullopt;
  int month = TakeDigits(s, 2);
  if (month < 0 || !TakeChar(s, '-')) return std::nullopt;
  int day = TakeDigits(s, 2);
  if (day < 0 || !TakeChar(s, 'T')) return std::nullopt;
  int hour = TakeDigits(s, 2);
  if (hour < 0 || hour > 23 || !TakeChar(s, ':')) return std::nullopt;
  int minute = TakeDigits(s, 2);
  if (minute < 0 || minute > 59 || !TakeChar(s, ':')) return std::nullopt;
  int second = TakeDigits(s, 2);
  if (second < 0 || second > 59) return std::nullopt;
  auto nanos = TakeFraction(s);
  if (!nanos) return std::nullopt;
  auto zone = TakeZone(s);
  auto days = DaysOf(year, month, day);
  if (!zone || !days || !s.empty()) return std::nullopt;
  int64_t seconds = *days * 86400 + hour * 3600 + minute * 60 + second - *zone;
  return WallTime(std::chrono::seconds(seconds) + std::chrono::nanoseconds(*nanos));
}

std::string FormatRfc3339(WallTime t) {
  auto days = std::chrono::floor<std::chrono::days>(t);
  std::chrono::year_month_day date(days);
  int64_t s = std::chrono::floor<std::chrono::seconds>(t - days).count();
  std::array<char, 32> out{};
  std::snprintf(out.data(), out.size(), "%04d-%02u-%02uT%02d:%02d:%02dZ", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()}, static_cast<int>(s / 3600),
                static_cast<int>(s / 60 % 60), static_cast<int>(s % 60));
  return out.data();
}

}  // namespace hami::protocol
