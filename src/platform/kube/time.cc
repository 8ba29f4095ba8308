#include "platform/kube/time.h"

#include <cstdio>

#include "domain/protocol/time_text.h"

namespace hami::kube {

std::string FormatTime(WallTime t) { return protocol::FormatRfc3339(t); }

std::string FormatMicroTime(WallTime t) {
  auto second = std::chrono::floor<std::chrono::seconds>(t);
  auto micros = std::chrono::floor<std::chrono::microseconds>(t - second).count();
  char fraction[16];
  snprintf(fraction, sizeof fraction, ".%06dZ", static_cast<int>(micros));
  std::string text = protocol::FormatRfc3339(second);
  text.pop_back();  // "Z"
  return text + fraction;
}

Result<WallTime> ParseTime(std::string_view text) {
  if (auto t = protocol::ParseRfc3339(text)) return *t;
  return Fail(Code::kInvalidArgument,
              "time \"" + std::string(text) + "\": expected 2006-01-02T15:04:05Z");
}

}  // namespace hami::kube
