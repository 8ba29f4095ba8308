// The limiter's environment and override file: whatever the file says, it may only lower limits.
#include <map>

#include "fuzz/fuzz.h"
#include "limiter/env/settings.h"

namespace {

std::map<std::string, std::string> environment;
std::string_view complaint;

const char* LookUp(const char* name) {
  const auto found = environment.find(name);
  return found == environment.end() ? nullptr : found->second.c_str();
}
void Note(std::string_view text) {
  complaint = text;
  FUZZ_CHECK(!text.empty() && text.back() != '.');
}

constexpr const char* kNames[] = {HAMI_ENV_MEMORY_LIMIT,       HAMI_ENV_MEMORY_LIMIT_I "0",
                                  HAMI_ENV_MEMORY_LIMIT_I "7", HAMI_ENV_SM_LIMIT,
                                  HAMI_ENV_SM_LIMIT_I "0",     HAMI_ENV_SHARED_CACHE,
                                  HAMI_ENV_TASK_PRIORITY,      HAMI_ENV_LOG_LEVEL,
                                  HAMI_ENV_DISABLE_CONTROL,    HAMI_ENV_CORE_POLICY};

}  // namespace

// Lines NAME=VALUE up to an empty one are the environment, the rest is the override file.
FUZZ_TARGET(text) {
  using hami::limiter::env::ReadSettings;
  const size_t cut = std::min(text.find("\n\n"), text.size());
  std::string_view variables = text.substr(0, cut);
  const std::string_view file = text.substr(std::min(cut + 2, text.size()));
  environment.clear();
  for (const char* name : kNames) {
    const std::string key = std::string(name) + "=";
    const size_t at = variables.find(key);
    if (at == std::string_view::npos) continue;
    const std::string_view rest = variables.substr(at + key.size());
    environment[name] = std::string(rest.substr(0, rest.find('\n')));
    // An environment has no NUL inside a value.
    environment[name].resize(environment[name].find('\0') == std::string::npos
                                 ? environment[name].size()
                                 : environment[name].find('\0'));
  }
  const auto without = ReadSettings(&LookUp, "", &Note);
  const auto with = ReadSettings(&LookUp, file, &Note);
  for (size_t i = 0; i < with.memory_limit.size(); ++i) {
    if (without.memory_limit[i] != 0) {
      FUZZ_CHECK(with.memory_limit[i] != 0 && with.memory_limit[i] <= without.memory_limit[i]);
    }
    FUZZ_CHECK(with.sm_percent[i] >= 1 && with.sm_percent[i] <= 100);
    FUZZ_CHECK(with.sm_percent[i] <= without.sm_percent[i]);
  }
  FUZZ_CHECK(with.core_policy == without.core_policy || with.core_policy == HAMI_POLICY_FORCE);
  FUZZ_CHECK(with.priority == without.priority && with.log_level >= 0);
  FUZZ_CHECK(with.region_path.view() == without.region_path.view());
  FUZZ_CHECK(with.disable_control == without.disable_control);
}
