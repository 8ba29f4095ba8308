// The probe's modules and libraries. Any thread.
#pragma once

#include <optional>
#include <string>

#include "tests/limiter/probe_call.h"

// The answer; nothing: another's command.
std::optional<std::string> ExecuteModule(const Args& arguments);
