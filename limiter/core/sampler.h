// Durations of single launches, measured by pairs of events around them.
//
// A fixed set of probes, each owned by one thread at a time through its state word: no lock is held
// across a driver call. Events belong to a context (its identity, not its handle, which the driver
// gives out again): only a thread that has it current touches them. Never used while
// anything in the process captures.
#pragma once

#include <atomic>
#include <cstdint>

namespace hami::limiter::core {

class Function;

// The driver's event functions; results are its codes.
struct EventDriver {
  int (*create)(void** event, unsigned flags) = nullptr;
  int (*destroy)(void* event) = nullptr;
  int (*record)(void* event, void* stream) = nullptr;
  int (*record_per_thread)(void* event, void* stream) = nullptr;
  int (*query)(void* event) = nullptr;
  int (*elapsed)(float* milliseconds, void* start, void* end) = nullptr;
  int (*exchange_mode)(int* mode) = nullptr;  // cuThreadExchangeStreamCaptureMode, or nullptr

  bool usable() const {
    return create != nullptr && destroy != nullptr && record != nullptr && query != nullptr &&
           elapsed != nullptr;
  }
};

struct StreamOf {
  uint64_t context = 0;
  void* stream = nullptr;
  bool per_thread = false;
};

// What one sample is of.
struct Sampled {
  Function* function = nullptr;
  unsigned device = 0;
  uint64_t key = 0;  // of the function in all processes of the container (shared.h); 0: none
  uint64_t position_ns = 0;  // what the process had launched on the card, this one included
};

class Sampler {
 public:
  static constexpr unsigned kProbes = 64;
  static constexpr unsigned kProbesOfOne = 8;  // of one context
  static constexpr int kNone = -1;

  // Before it, nothing is sampled. `driver` stays.
  void SetDriver(const EventDriver& driver) { driver_.store(&driver, std::memory_order_release); }

  // Puts the first event before a launch; kNone when no probe is free.
  int Begin(const StreamOf& where);
  // Puts the second one behind it. A launch that took the host `host_ns` may have waited in it.
  void End(int probe, const StreamOf& where, const Sampled& what, uint64_t host_ns);
  void Drop(int probe);

  // Whether samples may have become complete.
  bool AnyPending() const { return pending_.load(std::memory_order_relaxed) != 0; }

  // Calls take(sampled, ns) for each sample of this context that is complete; ns 0: the launch has
  // run, but how long it took cannot be told.
  template <class Take>
  void Harvest(uint64_t context, Take take) {
    uint64_t pending = pending_.load(std::memory_order_acquire);
    for (; pending != 0; pending &= pending - 1) {
      Finished finished;
      if (Finish(static_cast<unsigned>(__builtin_ctzll(pending)), context, &finished)) {
        take(finished.what, finished.ns);
      }
    }
  }

  // The context and its events are gone, or will be.
  void ForgetContext(uint64_t context);
  // In a forked child: no event is left.
  void AfterFork();

 private:
  enum State : uint32_t { kIdle = 0, kOwned = 1, kPending = 2 };

  struct Probe {
    std::atomic<uint32_t> state{kIdle};
    std::atomic<uint64_t> context{0};  // that the events are of; 0: none made
    void* start = nullptr;
    void* end = nullptr;
    Sampled what;
    uint64_t held_up_ns = 0;
  };
  struct Finished {
    Sampled what;
    uint64_t ns = 0;
  };

  // Capture rules of other threads do not forbid our calls while one of these lives.
  class Relaxed;

  int Take(uint64_t context);
  static bool MakeEvents(const EventDriver& driver, Probe& probe, uint64_t context);
  bool Finish(unsigned index, uint64_t context, Finished* finished);
  static int Record(const EventDriver& driver, void* event, const StreamOf& where);

  std::atomic<const EventDriver*> driver_{nullptr};
  std::atomic<uint64_t> pending_{0};
  Probe probes_[kProbes];
};

}  // namespace hami::limiter::core
