// Machine: what one library of one process sees of the simulated machine: the cards file, the cards
// whose device nodes it can open, the shared books, the faults to inject.
//
// One per library, made by the first call that needs it and kept until the process ends. Any thread
// may call; Start and Refresh serialise themselves. A CardSet once returned stays valid and
// unchanged; a changed file gives a new one.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>

#include "sim/core/ledger.h"
#include "sim/core/location.h"
#include "sim/core/timeline.h"

namespace hami::sim {

// One per exported function, static storage; counts the calls of this process.
struct FaultPoint {
  const char* function;
  std::atomic<uint32_t> generation{0};
  std::atomic<const Fault*> fault{nullptr};
  std::atomic<uint64_t> calls{0};
};

class Machine {
 public:
  // Finds and reads the files. `self` is any address inside the calling library. A failure is
  // printed once on standard error and stays: later calls return false without a word. With
  // kMayDoWithout an unusable state file is no failure: memory use reads as 0 until it appears.
  enum class State { kNeeded, kMayDoWithout };
  bool Start(const void* self, State state);
  bool is_started() const { return started_.load(std::memory_order_acquire); }

  // Reads cards.yaml again if it changed; looks at most every 10 ms. A file that cannot be read
  // is complained about once and the former cards stay.
  void Refresh();

  const CardSet& cards() const { return *cards_.load(std::memory_order_acquire); }
  int visible_count() const { return visible_count_; }
  int visible(int position) const { return visible_[position]; }  // index in cards()
  Ledger& ledger() { return ledger_; }
  // A change of the scheduling in cards.yaml does not reach processes that have started.
  Timeline timeline() { return {ledger_, slice_ns_}; }
  const Location& location() const { return location_; }

  // Waits the configured latency; returns the configured code when this call is to fail, else 0.
  int Inject(FaultPoint& point) {
    return fault_generation_.load(std::memory_order_relaxed) == 0 ? 0 : InjectSlowly(point);
  }

  // Child of a fork: everything inherited is the parent's.
  void ForgetAfterFork();

 private:
  bool Load();
  int InjectSlowly(FaultPoint& point);

  std::atomic<bool> started_{false};
  bool failed_ = false;
  std::atomic<const CardSet*> cards_{nullptr};
  std::atomic<uint32_t> fault_generation_{0};
  uint32_t generations_ = 0;
  std::atomic<int64_t> last_look_ns_{0};
  uint64_t seen_version_ = 0;  // of cards.yaml
  int64_t slice_ns_ = 0;
  int visible_count_ = 0;
  int visible_[kMaxCards] = {};
  Location location_;
  Ledger ledger_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;  // guards all that is not atomic
};

}  // namespace hami::sim
