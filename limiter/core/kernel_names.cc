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

KernelNames::Name KernelNames::Find(uint64_t handle) const {
  for (const Entry& entry : table_[Spread(handle) >> (64 - kBits)]) {
    if (entry.handle.load(std::memory_order_acquire) != handle) continue;
    const Name name = {entry.owner.load(std::memory_order_acquire),
                       entry.hash.load(std::memory_order_acquire)};
    if (entry.handle.load(std::memory_order_relaxed) == handle) return name;
  }
  return {};
}

uint64_t KernelNames::Of(uint64_t handle) const {
  const Name name = Find(handle);
  if (name.owner == 0 || name.hash == 0) return name.hash;
  const uint64_t owner = Find(name.owner).hash;
  const uint64_t both = Mixed(owner, name.hash);
  return owner == 0 ? 0 : both == 0 ? 1 : both;
}

void KernelNames::Put(uint64_t handle, const Name& name) {
  const uint64_t spread = Spread(handle);
  Entry(&set)[kWays] = table_[spread >> (64 - kBits)];
  Entry *known = nullptr, *free = nullptr;
  for (Entry& entry : set) {
    const uint64_t seen = entry.handle.load(std::memory_order_relaxed);
    if (seen == handle) known = &entry;
    if (seen == 0) free = &entry;
  }
  if (known == nullptr && name.hash == 0) return;
  Entry* const place = known != nullptr ? known : free != nullptr ? free : &set[spread % kWays];
  // Of two threads that change an entry at once, one's handle has no name.
  uint64_t seen = place->handle.load(std::memory_order_relaxed);
  if (seen == kChanging || !place->handle.compare_exchange_strong(seen, kChanging)) return;
  place->owner.store(name.owner, std::memory_order_release);
  place->hash.store(name.hash, std::memory_order_release);
  place->handle.store(name.hash == 0 ? 0 : handle, std::memory_order_release);
}

void KernelNames::SetMember(uint64_t handle, uint64_t owner, const char* name) {
  const bool known = name != nullptr && Find(owner).hash != 0;
  Put(handle, {owner, known ? HashOf(1, name, strlen(name)) : 0});
}

}  // namespace hami::limiter::core
