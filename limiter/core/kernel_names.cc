#include "limiter/core/kernel_names.h"

#include <cstring>

namespace hami::limiter::core {

constinit KernelNames KernelNames::own_;

uint64_t HashOf(uint64_t seed, const char* bytes, size_t size) {
  uint64_t hash = seed;
  for (size_t at = 0; at < size; at += 8) {
    uint64_t word = 0;
    memcpy(&word, bytes + at, size - at < 8 ? size - at : 8);
    hash = Mixed(hash, word);
  }
  return Mixed(hash, size);
}

uint64_t KernelNames::Of(uint64_t handle) const {
  for (const Entry& entry : table_[SetOf(handle)]) {
    if (entry.handle.load(std::memory_order_acquire) != handle) continue;
    const uint64_t name = entry.name.load(std::memory_order_acquire);
    if (entry.handle.load(std::memory_order_relaxed) == handle) return name;
  }
  return 0;
}

void KernelNames::Set(uint64_t handle, uint64_t name) {
  Entry(&set)[kWays] = table_[SetOf(handle)];
  Entry* place = &set[name % kWays];
  for (Entry& entry : set) {
    const uint64_t seen = entry.handle.load(std::memory_order_relaxed);
    if (seen == handle || seen == 0) place = &entry;
    if (seen == handle) break;
  }
  // Of two threads that change an entry at once, one's handle has no name.
  uint64_t seen = place->handle.load(std::memory_order_relaxed);
  if (seen == kChanging || !place->handle.compare_exchange_strong(seen, kChanging)) return;
  place->name.store(name, std::memory_order_release);
  place->handle.store(name == 0 ? 0 : handle, std::memory_order_release);
}

void KernelNames::SetMember(uint64_t handle, uint64_t owner, const char* name) {
  const uint64_t of_owner = Of(owner);
  const bool known = of_owner != 0 && name != nullptr;
  Set(handle, known ? HashOf(of_owner, name, strlen(name)) | 1 : 0);
}

}  // namespace hami::limiter::core
