// Layout of the state file: what all processes on one simulated machine share. Private to sim/ (no
// promise between versions); the rules by which it is written are in ledger.h and timeline.h.
//
//   header | per card: account word, busy_until | groups | slots | lines[slot][card] | rings |
//   schedules of time-sliced cards
//
// Untouched pages cost nothing: the file is sparse.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sim/core/cards.h"

namespace hami::sim {

inline constexpr uint64_t kStateMagic = 0x31555047454b4146ull;  // "FAKEGPU1"
inline constexpr uint32_t kStateVersion = 3;
inline constexpr int kMaxSlots = 1023;  // slot number 1023 stands for "nobody" in account words
inline constexpr int kNobody = 1023;
inline constexpr int kMaxGroups = 512;
inline constexpr int kMaxEvents = 64;
inline constexpr int kRingBuckets = 512;
inline constexpr uint64_t kBucketNs = 10'000'000;

// File locks beyond the end of the data (fcntl, open-file-description locks unless said).
inline constexpr int64_t kCreateLockByte = int64_t{1} << 40;
inline constexpr int64_t kGroupLockByte = kCreateLockByte + 1;
inline constexpr int64_t kEventLockByte = kCreateLockByte + 2;
inline constexpr int64_t kReapLockByte = kCreateLockByte + 2;     // held while the dead are freed
inline constexpr int64_t kCardLockBase = kCreateLockByte + 1024;  // held while a schedule moves on
inline constexpr int64_t kSlotLockBase = kCreateLockByte + 4096;  // held by the live process
inline constexpr int64_t kPidLockBase = kCreateLockByte + 8192;   // POSIX lock: tells its pid

enum class Kind : uint32_t { kContext, kData, kPool, kVmm, kArray, kModule, kGraph, kCount };

// Bytes in use, with the operation that wrote them last: used 42 bits | slot 10 | sequence 12.
struct alignas(64) AccountWord {
  std::atomic<uint64_t> word;
  std::atomic<uint64_t> peak;
};

struct alignas(64) CardState {
  AccountWord account;
  alignas(64) std::atomic<int64_t> busy_until_ns;  // CLOCK_MONOTONIC
};

// Processes that share a mount namespace: one container, or the host.
struct alignas(64) Group {
  std::atomic<uint64_t> key;   // 0: free
  std::atomic<uint64_t> born;  // order of creation, for reuse
  char name[64];
  AccountWord accounts[kMaxCards];
};

struct alignas(64) Slot {
  std::atomic<uint32_t> used;  // 0: free
  std::atomic<uint32_t> epoch;
  int32_t pid;  // in its own namespace
  int32_t group;
  uint64_t pid_namespace;       // inode
  std::atomic<uint32_t> rings;  // bit per card: its ring was written
  char name[64];
};

// What one process has on one card, and the one operation it may have under way there.
struct alignas(64) Line {
  std::atomic<uint64_t> used;
  std::atomic<uint64_t> peak;
  std::atomic<uint64_t> done;   // sequence number of the last finished operation
  std::atomic<uint64_t> begun;  // begun != done: the operation below is under way
  std::atomic<int64_t> delta;
  std::atomic<uint64_t> result;     // `used` after it
  std::atomic<uint64_t> seen_card;  // version << 12 | last sequence known to have reached the card
  std::atomic<uint64_t> seen_group;
  std::atomic<uint64_t> kinds[static_cast<int>(Kind::kCount)];
};

// Busy time on one card: of one process, of one group, of all.
struct alignas(64) Ring {
  std::atomic<int64_t> last_done_ns;
  std::atomic<uint64_t> busy_total_ns;
  std::atomic<uint64_t> launches;
  std::atomic<uint64_t> buckets[kRingBuckets];  // bucket number (low 32 bits) << 32 | busy ns in it
};

// A time-sliced card (timeline.h). A schedule is two copies, of which `active` tells the valid one:
// whoever moves it on writes the other and then changes `active`, so a writer killed half-way
// changed nothing. Only under the card's lock.
struct Schedule {
  int64_t clock_ns;  // everything up to here has happened
  int64_t slice_left_ns;
  uint64_t segments;                 // ever written
  int32_t turn;                      // slot that runs, or ran last
  int64_t served_ns[kMaxSlots + 1];  // of what each slot ever queued
};

// A stretch of time in which the card worked for one slot.
struct Segment {
  int64_t start_ns, length_ns;
  int64_t position;  // served_ns of the slot at its start
  int32_t slot;
};
inline constexpr int kSegments = 16384;

struct alignas(64) SlicedCard {
  std::atomic<uint32_t> active;
  Schedule copies[2];
  std::atomic<int64_t> queued_ns[kMaxSlots + 1];  // ever, by this and former owners of the slot
  uint32_t epochs[kMaxSlots + 1];                 // owner that queued last
  Segment segments[kSegments];
};

// Something that happened to a card from outside: an Xid put in by `hami-sim inject`.
struct Event {
  std::atomic<uint64_t> number;  // 1, 2, ...; written last
  int64_t at_ns;                 // CLOCK_REALTIME
  int32_t card;
  uint32_t xid;
};

struct StateFile {
  std::atomic<uint64_t> magic;  // written last
  uint32_t version;
  uint32_t unused;
  uint64_t size;
  std::atomic<int32_t> slots_high;  // no slot from here on was ever used
  std::atomic<uint64_t> groups_made;
  std::atomic<uint64_t> events_made;
  Event events[kMaxEvents];
  CardState cards[kMaxCards];
  Group groups[kMaxGroups];
  Slot slots[kMaxSlots + 1];
  Line lines[kMaxSlots + 1][kMaxCards];
  Ring rings[kMaxSlots + 1][kMaxCards];
  Ring group_rings[kMaxGroups][kMaxCards];
  Ring card_rings[kMaxCards];
  SlicedCard sliced[kMaxCards];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);

}  // namespace hami::sim
