#include "limiter/core/sampler.h"

namespace hami::limiter::core {
namespace {

constexpr int kRelaxedMode = 2;
constexpr uint64_t kSuspiciousHostNs = 200'000;
constexpr uint64_t kTolerable = 64;  // part of a sample that a pause of the host may be

}  // namespace

class Sampler::Relaxed {
 public:
  explicit Relaxed(const EventDriver& driver) : exchange_(driver.exchange_mode) {
    if (exchange_ != nullptr && exchange_(&mode_) != 0) exchange_ = nullptr;
  }
  ~Relaxed() {
    if (exchange_ != nullptr) exchange_(&mode_);
  }
  Relaxed(const Relaxed&) = delete;
  Relaxed& operator=(const Relaxed&) = delete;

 private:
  int (*exchange_)(int*);
  int mode_ = kRelaxedMode;
};

int Sampler::Record(const EventDriver& driver, void* event, const StreamOf& where) {
  return where.per_thread && driver.record_per_thread != nullptr
             ? driver.record_per_thread(event, where.stream)
             : driver.record(event, where.stream);
}

// A probe with events of this context; else one without events, unless the context has its part of
// them under way.
int Sampler::Take(uint64_t context) {
  for (const uint64_t wanted : {context, uint64_t{0}}) {
    unsigned seen = 0;
    for (unsigned i = 0; i < kProbes; ++i) {
      Probe& probe = probes_[i];
      if (probe.context.load(std::memory_order_relaxed) != wanted) continue;
      ++seen;
      uint32_t idle = kIdle;
      if (!probe.state.compare_exchange_strong(idle, kOwned, std::memory_order_acquire)) continue;
      if (probe.context.load(std::memory_order_relaxed) == wanted) return static_cast<int>(i);
      probe.state.store(kIdle, std::memory_order_release);
    }
    if (wanted != 0 && seen >= kProbesOfOne) return kNone;
  }
  return kNone;
}

bool Sampler::MakeEvents(const EventDriver& driver, Probe& probe, uint64_t context) {
  if (probe.context.load(std::memory_order_relaxed) != 0) return true;
  if (driver.create(&probe.start, 0) != 0) return false;
  if (driver.create(&probe.end, 0) != 0) {
    driver.destroy(probe.start);
    return false;
  }
  probe.context.store(context, std::memory_order_relaxed);
  return true;
}

int Sampler::Begin(const StreamOf& where) {
  const EventDriver* driver = driver_.load(std::memory_order_acquire);
  if (driver == nullptr || !driver->usable()) return kNone;
  const int index = Take(where.context);
  if (index == kNone) return kNone;
  const Relaxed relaxed(*driver);
  Probe& probe = probes_[index];
  if (MakeEvents(*driver, probe, where.context) && Record(*driver, probe.start, where) == 0)
    return index;
  Drop(index);
  return kNone;
}

void Sampler::End(int index, const StreamOf& where, const Sampled& what, uint64_t host_ns) {
  Probe& probe = probes_[index];
  const EventDriver& driver = *driver_.load(std::memory_order_acquire);
  const Relaxed relaxed(driver);
  if (Record(driver, probe.end, where) != 0) return Drop(index);
  probe.what = what;
  // Held up in the launch call, and the stream had nothing to do meanwhile: the pause is in the
  // sample.
  const bool held_up = host_ns > kSuspiciousHostNs && driver.query(probe.start) == 0;
  probe.held_up_ns = held_up ? host_ns : 0;
  probe.state.store(kPending, std::memory_order_release);
  pending_.fetch_or(uint64_t{1} << index, std::memory_order_release);
}

void Sampler::Drop(int index) { probes_[index].state.store(kIdle, std::memory_order_release); }

bool Sampler::Finish(unsigned index, uint64_t context, Finished* finished) {
  Probe& probe = probes_[index];
  if (probe.context.load(std::memory_order_relaxed) != context) return false;
  uint32_t pending = kPending;
  if (!probe.state.compare_exchange_strong(pending, kOwned, std::memory_order_acquire)) {
    return false;
  }
  constexpr int kNotReady = 600;
  bool complete = false;
  int result = 0;
  float milliseconds = 0;
  {
    const EventDriver& driver = *driver_.load(std::memory_order_acquire);
    const Relaxed relaxed(driver);
    result = driver.query(probe.end);
    complete = result == 0 && driver.elapsed(&milliseconds, probe.start, probe.end) == 0;
  }
  if (result == kNotReady) {
    probe.state.store(kPending, std::memory_order_release);
    return false;
  }
  pending_.fetch_and(~(uint64_t{1} << index), std::memory_order_relaxed);
  const uint64_t ns = milliseconds > 0 ? static_cast<uint64_t>(milliseconds * 1e6f) : 0;
  const bool told = complete && probe.held_up_ns * kTolerable <= ns;
  *finished = {probe.what, told ? ns | (ns == 0 ? 1 : 0) : 0};
  probe.state.store(kIdle, std::memory_order_release);
  return true;
}

void Sampler::ForgetContext(uint64_t context) {
  for (unsigned i = 0; i < kProbes; ++i) {
    Probe& probe = probes_[i];
    if (probe.context.load(std::memory_order_relaxed) != context) continue;
    // One that a thread holds right now is used in a context that is being destroyed: the program's
    // own error. Its events are not touched again, because no thread has that context current.
    probe.context.store(0, std::memory_order_relaxed);
    pending_.fetch_and(~(uint64_t{1} << i), std::memory_order_relaxed);
    probe.state.store(kIdle, std::memory_order_release);
  }
}

void Sampler::AfterFork() {
  for (Probe& probe : probes_) {
    probe.context.store(0, std::memory_order_relaxed);
    probe.state.store(kIdle, std::memory_order_relaxed);
  }
  pending_.store(0, std::memory_order_relaxed);
}

}  // namespace hami::limiter::core
