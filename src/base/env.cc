#include "base/env.h"

#include <unistd.h>

#include <cstdlib>

namespace hami {

std::optional<std::string> GetEnv(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr) return std::nullopt;
  return std::string(value);
}

std::string GetEnvOr(const char* name, std::string fallback) {
  return GetEnv(name).value_or(std::move(fallback));
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "";
}

}  // namespace hami
