// What the environment asks of the library (spec A2), read once at first use.
//
// ReadSettings is pure: the environment comes in as a look-up and the override file as text, and
// complaints go out through a sink, so that tests need neither.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "abi/env_names.h"
#include "abi/limits_page.h"
#include "abi/region_v1.h"
#include "limiter/sys/text.h"

namespace hami::limiter::env {

struct Settings {
  std::array<uint64_t, HAMI_V1_DEVICES> memory_limit{};  // bytes, 0 = none
  std::array<uint32_t, HAMI_V1_DEVICES> sm_percent{};    // 1..100, 100 = none
  sys::Text<256> region_path;
  int32_t priority = 1;
  uint32_t core_policy = HAMI_POLICY_DEFAULT;
  uint32_t record_interval_s = 1;  // between updates of last_kernel_time
  int log_level = 2;
  bool log_level_set = false;
  bool raw_nvml_processes = false;  // NVML's lists of processes are passed through
  bool disable_control = false;     // asked for; honoured only if limits.ro allows it
  bool oversubscribe = false;       // memory beyond the physical share; limits.ro may say so too
};

// Value of a variable, nullptr when unset.
using Lookup = const char* (*)(const char* name);
// One complaint per malformed variable: `VALUE of NAME ...`, without a trailing period.
using Complain = void (*)(std::string_view text);

// `override_text`: content of /overrideEnv, the image's own wishes: memory and core limits count
// when they are lower than the environment's, a core policy when it is `force`, and the log level.
// Names that decide whose account is used, or whether, are the environment's alone.
Settings ReadSettings(Lookup lookup, std::string_view override_text, Complain complain);

}  // namespace hami::limiter::env
