// The probe's less common ways to device memory. Any thread.
#pragma once

#include <optional>
#include <string>

#include "tests/limiter/probe_call.h"

// The answer; nothing: another's command.
std::optional<std::string> ExecutePath(const Args& arguments, const std::string& line);
