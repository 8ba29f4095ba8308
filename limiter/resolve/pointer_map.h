// Real function -> hook, by address: what the driver returned decides, so that version, flags and
// status of a look-up are exact by construction (spec B1).
//
// Filled once per driver library, by any number of threads at the same time with the same values;
// read without a lock after `bound`.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hami::limiter::resolve {

class PointerMap {
 public:
  // The first hook of a real function stays: see HAMI_CUDA_HOOKS on the order of names.
  void Insert(void* real, void* hook) {
    if (real == nullptr || hook == nullptr) return;
    for (size_t at = Home(real);; at = (at + 1) & (kCapacity - 1)) {
      void* seen = nullptr;
      if (entries_[at].real.compare_exchange_strong(seen, real)) seen = real;
      if (seen != real) continue;
      void* none = nullptr;
      entries_[at].hook.compare_exchange_strong(none, hook);
      return;
    }
  }

  // nullptr: not a function that is hooked.
  void* Find(void* real) const {
    for (size_t at = Home(real);; at = (at + 1) & (kCapacity - 1)) {
      void* seen = entries_[at].real.load(std::memory_order_acquire);
      if (seen == nullptr) return nullptr;
      if (seen == real) return entries_[at].hook.load(std::memory_order_acquire);
    }
  }

 private:
  static constexpr size_t kCapacity = 512;  // several times the number of hooks

  struct Entry {
    std::atomic<void*> real{nullptr};
    std::atomic<void*> hook{nullptr};
  };

  static size_t Home(void* real) {
    const auto bits = reinterpret_cast<uint64_t>(real);
    return ((bits >> 4) * 0x9e3779b97f4a7c15u) >> 55;
  }

  Entry entries_[kCapacity];
};

}  // namespace hami::limiter::resolve
