// What the processes of a container learned of the same functions, in the region.
//
// A process that never runs alone on the card may for seconds see its kernels only with others'
// work in between; one of its siblings has a clean sample long before. Each process puts its
// samples in and takes the shortest of all out. Kept for 8 to 16 seconds, and for as long as NVML
// shows a process that asks that it is not too short. Lock-free; any thread of any process. A
// process that is killed in between leaves words that are right or void.
#pragma once

#include <cstdint>

#include "abi/region.h"
#include "limiter/core/estimate.h"

namespace hami::limiter::core {

class SharedEstimates {
 public:
  // Shares nothing.
  SharedEstimates() = default;
  SharedEstimates(HamiExtFunction* table, uint32_t count) : table_(table), count_(count) {}
  // Nothing in a file that has no room for it.
  static SharedEstimates Of(HamiRegion& region);

  // Puts a sample of `key` in and takes out what is known. Nothing: key 0, no room, or a sample of
  // more than a minute.
  Shortest Exchange(uint64_t key, uint64_t ns, uint64_t now_ns, bool confirmed) const;

 private:
  static constexpr uint64_t kSpanNs = 8'000'000'000;
  static constexpr uint64_t kForgottenNs = 60'000'000'000;
  static constexpr uint32_t kMostProbes = 8;

  HamiExtFunction* Find(uint64_t key, uint64_t now_ns) const;
  static void BeginSpan(HamiExtFunction& function, uint64_t key, uint64_t now_ns, bool confirmed);

  HamiExtFunction* table_ = nullptr;
  uint32_t count_ = 0;
};

}  // namespace hami::limiter::core
