// Functions of a driver that is newer than this library: further forms (_v3, _ptsz) of a function
// that is hooked. They are passed on, and seen: one line, one bit in the region.
//
// A Families is filled while its library is bound, by any number of threads with the same values.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "limiter/core/kernel_names.h"

namespace hami::limiter::hook {

// The name without version and per-thread suffix.
constexpr std::string_view FamilyOf(std::string_view name) {
  for (const std::string_view suffix : {"_ptds", "_ptsz"}) {
    if (name.ends_with(suffix)) name.remove_suffix(suffix.size());
  }
  size_t end = name.size();
  while (end > 0 && name[end - 1] >= '0' && name[end - 1] <= '9') --end;
  const bool versioned = end < name.size() && end >= 2 && name.substr(end - 2, 2) == "_v";
  return versioned ? name.substr(0, end - 2) : name;
}

// Set of the families of hooked functions.
class Families {
 public:
  void Insert(std::string_view name) {
    const uint64_t hash = HashOf(FamilyOf(name));
    for (size_t at = hash % kCapacity;; at = (at + 1) % kCapacity) {
      uint64_t seen = 0;
      if (hashes_[at].compare_exchange_strong(seen, hash) || seen == hash) return;
    }
  }
  bool Has(std::string_view name) const {
    const uint64_t hash = HashOf(FamilyOf(name));
    for (size_t at = hash % kCapacity;; at = (at + 1) % kCapacity) {
      const uint64_t seen = hashes_[at].load(std::memory_order_relaxed);
      if (seen == 0 || seen == hash) return seen == hash;
    }
  }

 private:
  static constexpr size_t kCapacity = 512;  // several times the number of families

  // Two names with one hash would at worst be reported without need.
  static uint64_t HashOf(std::string_view family) {
    return core::HashOf(1, family.data(), family.size()) | 1;
  }

  std::atomic<uint64_t> hashes_[kCapacity] = {};
};

// Says once that a program was given `name`.
void Report(std::string_view name);

}  // namespace hami::limiter::hook
