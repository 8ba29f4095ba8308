#include "limiter/env/settings.h"

#include "limiter/env/number.h"

namespace hami::limiter::env {
namespace {

struct Source {
  Lookup lookup;
  std::string_view override_text;
  Complain complain;
};

struct Values {
  std::string_view environment;
  std::string_view override;
};

// Last value of `name` in NAME=VALUE lines; reading stops at the first line without '='.
std::string_view FromOverride(std::string_view text, std::string_view name) {
  std::string_view found;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line(text.data(), end == std::string_view::npos ? text.size() : end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t equals = line.find('=');
    if (equals == std::string_view::npos) break;
    if (std::string_view(line.data(), equals) == name) {
      line.remove_prefix(equals + 1);
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      found = line;
    }
  }
  return found;
}

Values Find(const Source& source, const char* name) {
  const char* value = source.lookup(name);
  return {value == nullptr ? std::string_view() : std::string_view(value),
          FromOverride(source.override_text, name)};
}

void ComplainAbout(const Source& source, std::string_view name, std::string_view value,
                   std::string_view expected) {
  sys::Text<384> text;
  text.Add("invalid value \"")
      .Add(std::string_view(value.data(), value.size() < 200 ? value.size() : 200))
      .Add("\" of ")
      .Add(name)
      .Add(": expected ")
      .Add(expected);
  source.complain(text.view());
}

struct Limit {
  uint64_t bytes = 0;
  bool valid = true;
};

// What one source says: for all devices, and for each.
struct Limits {
  Limit common;
  std::array<Limit, HAMI_V1_DEVICES> own;
};

uint64_t Lower(uint64_t a, uint64_t b) { return a == 0 ? b : b == 0 ? a : a < b ? a : b; }

using ValueIn = std::string_view Values::*;

Limit MemoryLimit(const Source& source, ValueIn where, const char* name) {
  const std::string_view value = Find(source, name).*where;
  if (const auto bytes = ParseSize(value)) return {*bytes, true};
  ComplainAbout(source, name, value, "bytes as 3000m, 0.5g or 512MiB");
  return {0, false};
}

Limits LimitsIn(const Source& source, ValueIn where) {
  Limits limits;
  limits.common = MemoryLimit(source, where, HAMI_ENV_MEMORY_LIMIT);
  for (size_t i = 0; i < limits.own.size(); ++i) {
    sys::Text<64> name;
    name.Add(HAMI_ENV_MEMORY_LIMIT_I).Add(uint64_t{i});
    limits.own[i] = MemoryLimit(source, where, name.c_str());
  }
  return limits;
}

uint64_t Smallest(const Limits& limits) {
  uint64_t smallest = limits.common.bytes;
  for (const Limit& own : limits.own) smallest = Lower(smallest, own.bytes);
  return smallest;
}

uint64_t LimitOf(const Limits& limits, size_t device, uint64_t if_malformed) {
  const Limit& own = limits.own[device];
  if (!own.valid || (own.bytes == 0 && !limits.common.valid)) return if_malformed;
  return own.bytes > 0 ? own.bytes : limits.common.bytes;
}

// The override's word for one device counts against the environment's for all of them: each source
// is resolved by itself, and the lower one holds. A malformed limit must not mean "no limit": it
// takes the smallest one that could be read.
void ReadMemoryLimits(const Source& source, Settings& settings) {
  const Limits environment = LimitsIn(source, &Values::environment);
  const Limits override = LimitsIn(source, &Values::override);
  const uint64_t smallest = Lower(Smallest(environment), Smallest(override));
  for (size_t i = 0; i < settings.memory_limit.size(); ++i) {
    settings.memory_limit[i] =
        Lower(LimitOf(environment, i, smallest), LimitOf(override, i, smallest));
  }
}

// 1..100; nothing where the source does not say, or says what is not a number. More than 100 means
// no limit, as in the reference, but whoever wrote it meant something else.
std::optional<uint32_t> Percent(const Source& source, ValueIn where, const char* name) {
  const std::string_view value = Find(source, name).*where;
  if (value.empty()) return std::nullopt;
  const auto number = ParseInteger(value);
  const bool readable = number && *number >= 0;
  if (!readable || *number > 100) ComplainAbout(source, name, value, "percent from 0 to 100");
  if (!readable) return std::nullopt;
  return static_cast<uint32_t>(*number == 0 || *number > 100 ? 100 : *number);
}

// As for memory: each source is resolved by itself, and the lower one holds.
void ReadCoreLimits(const Source& source, Settings& settings) {
  settings.sm_percent.fill(100);
  for (const ValueIn where : {&Values::environment, &Values::override}) {
    const uint32_t common = Percent(source, where, HAMI_ENV_SM_LIMIT).value_or(100);
    for (size_t i = 0; i < settings.sm_percent.size(); ++i) {
      sys::Text<64> name;
      name.Add(HAMI_ENV_SM_LIMIT_I).Add(uint64_t{i});
      const uint32_t percent = Percent(source, where, name.c_str()).value_or(common);
      if (percent < settings.sm_percent[i]) settings.sm_percent[i] = percent;
    }
  }
}

int64_t Integer(const Source& source, ValueIn where, const char* name, int64_t fallback) {
  const std::string_view value = Find(source, name).*where;
  if (value.empty()) return fallback;
  const auto number = ParseInteger(value);
  if (number && *number >= 0 && *number <= INT32_MAX) return *number;
  ComplainAbout(source, name, value, "an integer that is not negative");
  return fallback;
}
int64_t Integer(const Source& source, const char* name, int64_t fallback) {
  return Integer(source, &Values::environment, name, fallback);
}

// The level limits nothing, so the image's word wins, as in the reference.
void ReadLogLevel(const Source& source, Settings& settings) {
  const Values values = Find(source, HAMI_ENV_LOG_LEVEL);
  settings.log_level_set = !values.environment.empty() || !values.override.empty();
  const int64_t asked = Integer(source, HAMI_ENV_LOG_LEVEL, 2);
  settings.log_level =
      static_cast<int>(Integer(source, &Values::override, HAMI_ENV_LOG_LEVEL, asked));
}

// As Go's strconv.ParseBool, which the node plugin reads these with.
bool Flag(const Source& source, const char* name, bool fallback) {
  const std::string_view value = Find(source, name).environment;
  if (value.empty()) return fallback;
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (value == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (value == no) return false;
  }
  ComplainAbout(source, name, value, "true or false");
  return fallback;
}

// A path that does not fit is no path: cut short it would be another file.
std::string_view RegionPath(const Source& source) {
  constexpr size_t kMost = decltype(Settings::region_path)::kMost;
  const std::string_view path = Find(source, HAMI_ENV_SHARED_CACHE).environment;
  if (path.size() > kMost) {
    ComplainAbout(source, HAMI_ENV_SHARED_CACHE, path, "a path of at most 255 characters");
  }
  return path.empty() || path.size() > kMost ? HAMI_DEFAULT_SHARED_CACHE : path;
}

// Whether NVML's lists of processes are to be passed through.
bool AsksForRaw(const Source& source) {
  const std::string_view value = Find(source, HAMI_ENV_NVML_PROCESSES).environment;
  if (value == "raw") return true;
  if (!value.empty() && value != "container") {
    ComplainAbout(source, HAMI_ENV_NVML_PROCESSES, value, "container or raw");
  }
  return false;
}

bool SameWord(std::string_view value, std::string_view lower_case) {
  if (value.size() != lower_case.size()) return false;
  for (size_t i = 0; i < value.size(); ++i) {
    const char c = value[i] >= 'A' && value[i] <= 'Z' ? static_cast<char>(value[i] + 32) : value[i];
    if (c != lower_case[i]) return false;
  }
  return true;
}

uint32_t CorePolicy(const Source& source, ValueIn where) {
  const std::string_view value = Find(source, HAMI_ENV_CORE_POLICY).*where;
  if (value.empty() || SameWord(value, "default")) return HAMI_POLICY_DEFAULT;
  if (SameWord(value, "force")) return HAMI_POLICY_FORCE;
  if (SameWord(value, "disable")) return HAMI_POLICY_DISABLE;
  ComplainAbout(source, HAMI_ENV_CORE_POLICY, value, "default, force or disable");
  return HAMI_POLICY_DEFAULT;
}

// The image may ask for more of the limit than the environment, never for less: of its words only
// `force` counts.
uint32_t CorePolicy(const Source& source) {
  const uint32_t asked = CorePolicy(source, &Values::environment);
  const uint32_t of_image = CorePolicy(source, &Values::override);
  return of_image == HAMI_POLICY_FORCE ? of_image : asked;
}

}  // namespace

Settings ReadSettings(Lookup lookup, std::string_view override_text, Complain complain) {
  const Source source{lookup, override_text, complain};
  Settings settings;
  ReadMemoryLimits(source, settings);
  ReadCoreLimits(source, settings);
  settings.region_path.Add(RegionPath(source));
  settings.priority = static_cast<int32_t>(Integer(source, HAMI_ENV_TASK_PRIORITY, 1));
  settings.core_policy = CorePolicy(source);
  settings.record_interval_s = static_cast<uint32_t>(Integer(source, HAMI_ENV_RECORD_INTERVAL, 1));
  ReadLogLevel(source, settings);
  settings.raw_nvml_processes = AsksForRaw(source);
  settings.disable_control = Flag(source, HAMI_ENV_DISABLE_CONTROL, false);
  settings.oversubscribe = Flag(source, HAMI_ENV_OVERSUBSCRIBE, false);
  Flag(source, HAMI_ENV_OOM_KILLER, true);  // a malformed value is worth a line
  return settings;
}

}  // namespace hami::limiter::env
