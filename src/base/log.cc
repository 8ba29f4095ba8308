#include "base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <memory>

#include "base/json_write.h"

namespace hami {
namespace {

std::atomic<LogLevel> g_level{LogLevel::kInfo};
std::atomic<LogFormat> g_format{LogFormat::kLogfmt};

std::shared_ptr<spdlog::logger>& Sink() {
  static std::shared_ptr<spdlog::logger> logger = [] {
    auto l =
        std::make_shared<spdlog::logger>("hami", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    l->set_level(spdlog::level::trace);
    l->set_pattern("%v");
    l->flush_on(spdlog::level::trace);
    return l;
  }();
  return logger;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kError:
      return "error";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kTrace:
      return "trace";
  }
  return "?";
}

std::string Timestamp() {
  timespec ts{};
  clock_gettime(CLOCK_REALTIME, &ts);
  tm parts{};
  gmtime_r(&ts.tv_sec, &parts);
  char text[40];
  size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(text + n, sizeof text - n, ".%03ldZ", ts.tv_nsec / 1'000'000);
  return text;
}

bool NeedsQuotes(std::string_view v) {
  if (v.empty()) return true;
  for (unsigned char c : v) {
    if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) return true;
  }
  return false;
}

}  // namespace

void InitLog(const LogOptions& options) {
  g_level = options.level;
  g_format = options.format;
  if (options.file.empty()) return;
  try {
    auto file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(options.file);
    Sink()->sinks() = {std::move(file)};
    Sink()->set_pattern("%v");
  } catch (const spdlog::spdlog_ex& e) {
    LOG(kError, "log file cannot be opened").Kv("file", options.file).Kv("error", e.what());
  }
}

bool LogEnabled(LogLevel level) { return level <= g_level.load(std::memory_order_relaxed); }

LogLevel LogLevelFromVerbosity(int v) {
  if (v >= 6) return LogLevel::kTrace;
  return v >= 4 ? LogLevel::kDebug : LogLevel::kInfo;
}

LogLine::LogLine(LogLevel level, std::string_view message) : level_(level) {
  text_.reserve(200);
  if (g_format == LogFormat::kJson) {
    text_ = "{\"ts\":\"" + Timestamp() + "\",\"level\":\"";
    text_ += LevelName(level);
    text_ += "\"";
  } else {
    text_ = "ts=" + Timestamp() + " level=";
    text_ += LevelName(level);
  }
  Kv("msg", message);
}

LogLine::~LogLine() {
  if (g_format == LogFormat::kJson) text_ += '}';
  Sink()->log(spdlog::level::info, text_);
}

LogLine& LogLine::Kv(std::string_view key, std::string_view value) {
  if (g_format == LogFormat::kJson || NeedsQuotes(value)) {
    std::string quoted;
    AppendJsonString(quoted, value);
    return Raw(key, quoted);
  }
  return Raw(key, value);
}

LogLine& LogLine::Raw(std::string_view key, std::string_view value) {
  if (g_format == LogFormat::kJson) {
    text_ += ",\"";
    text_ += key;
    text_ += "\":";
  } else {
    text_ += ' ';
    text_ += key;
    text_ += '=';
  }
  text_ += value;
  return *this;
}

}  // namespace hami
