#include "limiter/sys/log.h"

#include <atomic>

#include "limiter/sys/syscall.h"

namespace hami::limiter::sys {
namespace {

constinit std::atomic<int> level_limit{2};

struct Name {
  std::string_view text;
  int level;
};
constexpr Name kNames[] = {{"ERROR", 0}, {"Msg", 2}, {"Warn", 2}, {"Info", 3}, {"Debug", 4}};

const Name& NameOf(Level level) { return kNames[static_cast<int>(level)]; }

}  // namespace

void SetLogLevel(int level) { level_limit.store(level, std::memory_order_relaxed); }

bool LogEnabled(Level level) {
  return level == Level::kError ||
         NameOf(level).level <= level_limit.load(std::memory_order_relaxed);
}

void LogLine(Level level, const char* file, int line, std::string_view body) {
  Text<640> out;
  const auto pid = static_cast<uint64_t>(GetPid());
  const auto tid = static_cast<uint64_t>(GetTid());
  const auto where = static_cast<uint64_t>(line);
  if (level == Level::kError) {
    out.Add("[HAMI-core ERROR (pid:").Add(pid).Add(" thread=").Add(tid).Add(" ").Add(file);
    out.Add(":").Add(where).Add(")]: ");
  } else {
    out.Add("[HAMI-core ").Add(NameOf(level).text).Add("(").Add(pid).Add(":").Add(tid).Add(":");
    out.Add(file).Add(":").Add(where).Add(")]: ");
  }
  out.Add(body).Add("\n");
  Write(2, out.c_str(), out.size());
}

}  // namespace hami::limiter::sys
