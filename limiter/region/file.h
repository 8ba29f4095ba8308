// The file behind the region: opened, created when nobody has, extended when a reference made it.
//
// Two open file descriptions: one is mapped and then closed, never locked; the other is locked and
// never mapped, because a mapping keeps its description, and thereby a lock, alive in forked
// children. Used at attach and in forked children only; any thread, one at a time.
#pragma once

#include <array>
#include <cstdint>

#include "abi/region.h"

namespace hami::limiter::region {

// What a new region starts with.
struct Creation {
  std::array<uint64_t, HAMI_V1_DEVICES> memory_limit{};  // bytes, 0 = none
  std::array<uint32_t, HAMI_V1_DEVICES> sm_percent{};
  int32_t priority = 1;
};

struct Opened {
  HamiRegion* region = nullptr;  // nullptr: unusable, and `error` is a negated error number
  int lock_fd = -1;              // -1: anonymous memory, nobody else maps it
  int error = 0;
};

Opened OpenRegion(const char* path, const Creation& creation);

// The limits that a file's prefix states, where it has one, though it cannot be used: it is
// read-only, or of a future's layout. All zeros: it states none.
struct StatedLimits {
  std::array<uint64_t, HAMI_V1_DEVICES> memory{};      // bytes, 0 = none
  std::array<uint64_t, HAMI_V1_DEVICES> sm_percent{};  // 0, or 100 and above: none
};
StatedLimits ReadLimits(const char* path);

// Memory of this process alone, when no file can be had.
Opened AnonymousRegion(const Creation& creation);

// A description for locks only, numbered 500 or above to stay out of the program's way; negative:
// error. `path` must still be the file that `region` maps.
int OpenLock(const char* path);

// Fills a zeroed or half-made region; the magic goes in last.
void InitialiseRegion(HamiRegion& region, const Creation& creation);

// Whether the own block behind the prefix is there and of a version that this library knows.
bool HasKnownBlock(const HamiRegion& region);

}  // namespace hami::limiter::region
