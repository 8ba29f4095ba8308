// The books of one stream-ordered pool: what requests under way may still take, so that what the
// driver reserves for it never exceeds what is in the account.
//
//   growth = Enter(bytes)        the account grows by that much, or the request is refused
//   ... the driver's call ...
//   Leave(bytes, growth, granted)
//   missing = BeginCover(what the driver has reserved by now), and the same for that
//   EndCover(missing, granted)
//
// Bytes. Pure; the caller holds a lock around each call, and none in between.
#pragma once

#include <cstdint>

namespace hami::limiter::account {

struct PoolBooks {
  // Pools grow in steps of this size at least.
  static constexpr uint64_t kStep = uint64_t{2} << 20;

  uint64_t live = 0;      // granted and not freed
  uint64_t asked = 0;     // of requests under way
  uint64_t booked = 0;    // in the account
  uint64_t coming = 0;    // that requests under way are about to book
  uint64_t covering = 0;  // that the driver may have beyond that; refused or booked soon
  uint64_t changes = 0;   // operations begun or ended: tells that a reading of the driver is stale

  // Counts a request in; how many bytes the account must grow for it. What is being covered is
  // nobody's to use: it may be refused.
  uint64_t Enter(uint64_t bytes) {
    ++changes;
    asked += bytes;
    const uint64_t needed = live + asked, there = booked + coming;
    const uint64_t growth = needed <= there ? 0 : (needed + kStep - 1) / kStep * kStep - there;
    coming += growth;
    return growth;
  }
  // The request has ended; granted: it and its growth stay.
  void Leave(uint64_t bytes, uint64_t growth, bool granted) {
    ++changes;
    asked -= bytes;
    coming -= growth;
    if (!granted) return;
    live += bytes;
    booked += growth;
  }

  // After a grant: the driver may have had to reserve more than the volume, because free parts of
  // the pool were too small. How many bytes the account must grow; 0: none, and there is no end.
  uint64_t BeginCover(uint64_t reserved) {
    const uint64_t there = booked + coming + covering;
    const uint64_t missing = reserved > there ? reserved - there : 0;
    covering += missing;
    return missing;
  }
  void EndCover(uint64_t missing, bool granted) {
    ++changes;
    covering -= missing;
    if (granted) booked += missing;
  }

  // The program's block has gone.
  void Drop(uint64_t bytes) {
    ++changes;
    live = live < bytes ? 0 : live - bytes;
  }

  // What the account has too much, by what the driver reported after `changes` was `seen`.
  uint64_t TakeSurplus(uint64_t reserved, uint64_t seen) {
    const uint64_t needed = live + asked;
    uint64_t wanted = reserved > live ? reserved : live;
    if (needed > coming && needed - coming > wanted) wanted = needed - coming;
    if (changes != seen || wanted >= booked) return 0;
    const uint64_t surplus = booked - wanted;
    booked = wanted;
    return surplus;
  }

  bool HasSlack() const { return booked > live; }
  bool IsEmpty() const { return live + asked + booked == 0; }
};

}  // namespace hami::limiter::account
