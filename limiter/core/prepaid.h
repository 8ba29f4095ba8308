// Device time that a thread has paid for ahead, so that most launches of short kernels write
// nothing that is shared.
//
// Bought only while the bucket holds more than that (Governor::Prepay): what a thread can use
// beyond its limit is kMostNs, once, when it comes back after a pause. Pure; owned by one thread;
// all zeros when new.
#pragma once

#include <cstdint>

namespace hami::limiter::core {

class Prepaid {
 public:
  static constexpr uint32_t kMostNs = 500'000;
  static constexpr uint32_t kMostLaunches = 255;

  // Whether enough is left for a launch of `ns` on this card.
  bool Covers(unsigned device, uint64_t ns) const { return ns <= left_ns_ && device == device_; }
  void Spend(uint64_t ns) {
    left_ns_ -= static_cast<uint32_t>(ns);
    ++launches_;
  }
  // The driver refused the launch.
  void Undo(uint64_t ns) {
    left_ns_ += static_cast<uint32_t>(ns);
    --launches_;
  }

  // What to buy behind a launch of `ns` that was paid by itself; more, the longer that goes on, so
  // that a thread which ends soon leaves little unused. 0: nothing.
  uint32_t Wanted(uint64_t ns) {
    const uint64_t wanted = uint64_t{run_} * ns < kMostNs ? run_ * ns : kMostNs;
    run_ = run_ < kMostLaunches / 2 ? static_cast<uint8_t>(run_ * 2 + 1) : kMostLaunches;
    return wanted < ns ? 0 : static_cast<uint32_t>(wanted);
  }
  void Bought(uint32_t ns) { left_ns_ += ns; }
  // Time is scarce: what is bought ahead would be missed by others.
  void Scarce() { run_ = 0; }

  unsigned device() const { return device_; }
  // Nanoseconds that were not used, for the bucket of the card that the thread leaves.
  uint32_t MoveTo(unsigned device) {
    const uint32_t left = left_ns_;
    left_ns_ = 0;
    run_ = 0;
    device_ = static_cast<uint8_t>(device);
    return left;
  }
  // Launches since the last call.
  uint32_t TakeLaunches() {
    const uint32_t launches = launches_;
    launches_ = 0;
    return launches;
  }

 private:
  uint32_t left_ns_ = 0;
  uint32_t launches_ = 0;
  uint8_t device_ = 0;
  uint8_t run_ = 0;
};

}  // namespace hami::limiter::core
