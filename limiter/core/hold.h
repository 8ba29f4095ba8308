// Whether a monitor or an operator holds this container's launches back (spec A5). Pure.
#pragma once

#include <atomic>
#include <cstdint>

#include "abi/region.h"

namespace hami::limiter::core {

// A monitor that has written its heartbeat and stopped for so long is dead: it blocks nobody. One
// that never wrote it is a reference's and is obeyed.
inline constexpr uint64_t kHeartbeatLostNs = 10'000'000'000;

inline bool MonitorLost(uint64_t heartbeat_ns, uint64_t boot_ns) {
  if (heartbeat_ns == 0) return false;
  const uint64_t apart = heartbeat_ns > boot_ns ? heartbeat_ns - boot_ns : boot_ns - heartbeat_ns;
  return apart > kHeartbeatLostNs;  // one from the future is of another boot
}

// Marks the container as active. The monitor's "held back" is never overwritten.
inline void MarkActive(int32_t& recent_kernel) {
  std::atomic_ref word(recent_kernel);
  int32_t seen = word.load(std::memory_order_relaxed);
  while (seen >= 0 && seen != 2 &&
         !word.compare_exchange_weak(seen, 2, std::memory_order_relaxed)) {
  }
}

}  // namespace hami::limiter::core
