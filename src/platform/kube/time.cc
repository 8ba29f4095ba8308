#include "platform/kube/time.h"

#include <charconv>
#include <cstdio>
#include <ctime>

namespace hami::kube {
namespace {

std::string FormatSeconds(int64_t unix_seconds) {
  time_t seconds = unix_seconds;
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  return {text, strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts)};
}

// Exactly `count` digits at `at`; -1 when there are none.
int Digits(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return -1;
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

std::string FormatTime(WallTime t) { return FormatSeconds(UnixSeconds(t)) + "Z"; }

std::string FormatMicroTime(WallTime t) {
  auto second = std::chrono::floor<std::chrono::seconds>(t);
  auto micros = std::chrono::floor<std::chrono::microseconds>(t - second).count();
  char fraction[16];
  snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(micros));
  return FormatSeconds(UnixSeconds(t)) + fraction;
}

Result<WallTime> ParseTime(std::string_view text) {
  auto bad = [&] {
    return Fail(Code::kInvalidArgument,
                "time \"" + std::string(text) + "\": expected 2006-01-02T15:04:05Z");
  };
  int year = Digits(text, 0, 4), month = Digits(text, 5, 2), day = Digits(text, 8, 2);
  int hour = Digits(text, 11, 2), minute = Digits(text, 14, 2), second = Digits(text, 17, 2);
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' ||
      (text[10] != 'T' && text[10] != 't') || text[13] != ':' || text[16] != ':' || year < 0 ||
      month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 || minute < 0 ||
      minute > 59 || second < 0 || second > 60) {
    return bad();
  }
  size_t at = 19;
  int64_t nanos = 0;
  if (text[at] == '.') {
    int64_t unit = 100'000'000;
    size_t first = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10) {
      nanos += (text[at] - '0') * unit;
    }
    if (at == first) return bad();
  }
  int64_t offset = 0;
  if (at + 1 == text.size() && (text[at] == 'Z' || text[at] == 'z')) {
    offset = 0;
  } else if (at + 6 == text.size() && (text[at] == '+' || text[at] == '-') && text[at + 3] == ':') {
    int hours = Digits(text, at + 1, 2), minutes = Digits(text, at + 4, 2);
    if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return bad();
    offset = (text[at] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  } else {
    return bad();
  }
  tm parts{};
  parts.tm_year = year - 1900;
  parts.tm_mon = month - 1;
  parts.tm_mday = day;
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_sec = second;
  int64_t unix_seconds = static_cast<int64_t>(timegm(&parts)) - offset;
  if (unix_seconds < -9'000'000'000 || unix_seconds > 9'000'000'000) return bad();
  return WallTime(std::chrono::seconds(unix_seconds) + std::chrono::nanoseconds(nanos));
}

}  // namespace hami::kube
