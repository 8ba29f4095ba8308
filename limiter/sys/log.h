// Lines on standard error, in the reference's two shapes (spec A3):
//   [HAMI-core ERROR (pid:P thread=T file:line)]: text
//   [HAMI-core Msg(pid:tid:file:line)]: text
//
// One write() per line, no buffer, no lock, errno untouched. Any thread.
#pragma once

#include "limiter/sys/text.h"

namespace hami::limiter::sys {

// Two names share level 2: messages and warnings, as in the reference.
enum class Level { kError, kMessage, kWarn, kInfo, kDebug };

using LogText = Text<512>;

// The level that LIBCUDA_LOG_LEVEL asked for: 0, 1 errors; 2 and messages, warnings; 3 and info; 4
// all.
void SetLogLevel(int level);
bool LogEnabled(Level level);
// `file` without its folders.
void LogLine(Level level, const char* file, int line, std::string_view text);

constexpr const char* BaseName(const char* path) {
  const char* base = path;
  for (const char* p = path; *p != '\0'; ++p) {
    if (*p == '/') base = p + 1;
  }
  return base;
}

}  // namespace hami::limiter::sys

// Builds the text only when the level is on: HAMI_LIMITER_LOG(kError, text.Add("device ").Add(d)).
#define HAMI_LIMITER_LOG(level, expression)                                             \
  do {                                                                                  \
    if (::hami::limiter::sys::LogEnabled(::hami::limiter::sys::Level::level)) {         \
      ::hami::limiter::sys::LogText text;                                               \
      expression;                                                                       \
      ::hami::limiter::sys::LogLine(::hami::limiter::sys::Level::level,                 \
                                    ::hami::limiter::sys::BaseName(__FILE__), __LINE__, \
                                    text.view());                                       \
    }                                                                                   \
  } while (false)
