// A function and its form for per-thread streams (_ptsz), whose null stream is the thread's own.
#pragma once

#include "sim/cuda/driver.h"

// Defines `name` and `name_ptsz` by nameForm(driver, per_thread, arguments).
#define SIM_STREAM_FORMS(name, parameters, arguments) \
  SIM_CUDA name parameters {                          \
    SIM_CUDA_CALL(name);                              \
    return name##Form(driver, false, arguments);      \
  }                                                   \
  SIM_CUDA name##_ptsz parameters {                   \
    SIM_CUDA_CALL(name##_ptsz);                       \
    return name##Form(driver, true, arguments);       \
  }
#define SIM_ARGS(...) __VA_ARGS__

namespace hami::sim {

inline void RaiseTo(std::atomic<int64_t>& value, int64_t at_least) {
  int64_t old = value.load(std::memory_order_relaxed);
  while (old < at_least && !value.compare_exchange_weak(old, at_least)) {
  }
}

}  // namespace hami::sim
