// The process's environment and identity: the only place that asks for them.
#pragma once

#include <optional>
#include <string>

namespace hami {

// Absent and empty differ: an empty variable is a value.
std::optional<std::string> GetEnv(const char* name);
std::string GetEnvOr(const char* name, std::string fallback);
std::string HostName();

}  // namespace hami
