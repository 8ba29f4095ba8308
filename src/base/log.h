// Log: one line per decision, logfmt or JSON, to standard error.
//
//   LOG(kInfo, "pod placed").Kv("pod", key).Kv("node", n).Kv("mem_mib", m);
//
// Thread-safe. A line below the level in force costs one relaxed load. Secrets never get here: keep
// them in types without a stream or string conversion.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace hami {

enum class LogLevel : uint8_t { kError, kWarn, kInfo, kDebug, kTrace };
enum class LogFormat : uint8_t { kLogfmt, kJson };

struct LogOptions {
  LogLevel level = LogLevel::kInfo;
  LogFormat format = LogFormat::kLogfmt;
  std::string file;  // empty: standard error
};

// Call once, early in main; before it the defaults hold.
void InitLog(const LogOptions& options);
bool LogEnabled(LogLevel level);
// klog's -v: 0..3 info, 4..5 debug, 6 and more trace.
LogLevel LogLevelFromVerbosity(int v);

class LogLine {
 public:
  LogLine(LogLevel level, std::string_view message);
  ~LogLine();
  LogLine(const LogLine&) = delete;
  LogLine& operator=(const LogLine&) = delete;

  LogLine& Kv(std::string_view key, std::string_view value);
  LogLine& Kv(std::string_view key, const char* value) { return Kv(key, std::string_view(value)); }
  LogLine& Kv(std::string_view key, bool value) { return Raw(key, value ? "true" : "false"); }
  template <std::integral T>
  LogLine& Kv(std::string_view key, T value) {
    return Raw(key, std::to_string(value));
  }
  LogLine& Kv(std::string_view key, double value) { return Raw(key, std::to_string(value)); }

 private:
  LogLine& Raw(std::string_view key, std::string_view value);
  LogLevel level_;
  std::string text_;
};

}  // namespace hami

#define LOG(level, message)                           \
  if (!::hami::LogEnabled(::hami::LogLevel::level)) { \
  } else                                              \
    ::hami::LogLine(::hami::LogLevel::level, message)
