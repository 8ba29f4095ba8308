// The probe's memory that other processes, libraries or objects share. One thread.
#pragma once

#include <optional>
#include <string>

#include "tests/limiter/probe_call.h"

// The answer; nothing: another's command.
std::optional<std::string> ExecuteShare(const Args& arguments);
