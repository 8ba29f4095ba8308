// The probe's stream captures. One thread but where it says otherwise.
#pragma once

#include <string>

#include "tests/limiter/probe_call.h"

// captured <mode> <calls>: what the driver answers to each step of a capture and of the graph's
// replay; of the steps, those whose letters are in `calls` (capture_probe.cc).
std::string Captured(const Args& arguments);
