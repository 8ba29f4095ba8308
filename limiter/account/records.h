// What this process holds: one record per allocation, found by address or handle.
//
// A sharded open-addressing table in memory of its own (mmap), so that a free costs the same with
// ten live blocks as with a hundred thousand, and malloc is never called from inside a program's
// allocator. Any thread; a shard's lock is held for a few loads only, never across a driver call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "limiter/sys/spin.h"

namespace hami::limiter::account {

// Addresses and handles of the driver may be equal numbers; they live in spaces of their own.
enum class Space : uint8_t {
  kPointer,   // device pointers: plain, pitched, managed, stream-ordered
  kArray,     // CUarray, CUmipmappedArray -> if it is sparse, its identity in `link`
  kHandle,    // CUmemGenericAllocationHandle -> identity of the physical block in `link`
  kMapping,   // mapped address -> identity of the physical block in `link`
  kPhysical,  // identity -> size and count of references
  kContext,   // CUcontext -> its size, its identity in `link`
  kGreen,     // CUgreenCtx -> ordinal in `link`
  kModule,    // CUmodule; what a context was given beyond its own size
  kLibrary,   // CUlibrary -> its bytes in a context in `size`, its identity in `link`
  kPlaced,    // library in a context -> identity of the library in `link`
  kGraph,     // CUgraphExec and card -> what it takes there
  kBinding,   // place in a multicast object or array -> identity of the physical block in `link`
};

struct Record {
  uint64_t key = 0;
  uint64_t size = 0;   // bytes charged; of a mapping: bytes of address space
  uint64_t owner = 0;  // CUcontext it dies with, or CUmemoryPool; 0: neither
  uint64_t link = 0;
  uint32_t references = 0;
  Space space = Space::kPointer;
  uint8_t kind = 0;    // HAMI_KIND_*
  int8_t device = -1;  // index in the region
  bool used = false;
};

class Records {
 public:
  // False: no memory for the table; the caller must not hand the block out unaccounted.
  bool Insert(const Record& record);
  // The same unless there is one with this key: false then, too (Find tells).
  bool InsertNew(const Record& record);
  // Puts it in place of the one with this key if that has `link`. False: it has not.
  bool Replace(uint64_t link, const Record& record);
  std::optional<Record> Find(Space space, uint64_t key);
  // Removes and returns it.
  std::optional<Record> Take(Space space, uint64_t key);
  // The same if it has this `link`.
  std::optional<Record> TakeIf(Space space, uint64_t key, uint64_t link);

  // Changes the count of references; removes the record when it becomes 0. Returns the record as it
  // is afterwards.
  std::optional<Record> AddReference(Space space, uint64_t key, int change);

  // Takes every record of `owner`, one after the other.
  template <class Visit>
  void TakeOwned(Space space, uint64_t owner, Visit visit) {
    TakeAll({space, &Record::owner, owner}, visit);
  }
  // The same of every record with this `link`.
  template <class Visit>
  void TakeLinked(Space space, uint64_t link, Visit visit) {
    TakeAll({space, &Record::link, link}, visit);
  }

  // The record of `space` whose [key, key + size) holds `address`. Walks everything: rare calls
  // only.
  std::optional<Record> FindContaining(Space space, uint64_t address);

  // For the child of a fork, which holds nothing: contexts do not survive a fork.
  void AfterFork();

 private:
  static constexpr size_t kShards = 64;
  static constexpr size_t kFirstCapacity = 64;

  struct alignas(64) Shard {
    sys::ShortLock lock;
    Record* entries = nullptr;
    size_t capacity = 0;  // power of two
    size_t count = 0;
    uint64_t moves = 0;  // how often entries may have changed their places
  };
  // How far a walk through a shard has come while others may change it.
  struct Walk {
    size_t next = 0;
    uint64_t moves = 0;
  };

  struct Wanted {
    Space space;
    uint64_t Record::*word;
    uint64_t value;
  };

  template <class Visit>
  void TakeAll(const Wanted& wanted, Visit visit) {
    for (Shard& shard : shards_) {
      Walk walk;
      while (const auto record = TakeNext(shard, wanted, walk)) visit(*record);
    }
  }

  static uint64_t Hash(Space space, uint64_t key) {
    uint64_t hash = key ^ (static_cast<uint64_t>(space) << 56);
    hash = (hash ^ (hash >> 31)) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
  }
  Shard& ShardOf(uint64_t hash) { return shards_[hash >> 58]; }
  bool Put(const Record& record, bool over);
  static bool Grow(Shard& shard);
  // The entry of the key, or the empty one where it belongs. There is an empty one.
  __attribute__((always_inline)) static Record* Place(const Shard& shard, uint64_t hash,
                                                      Space space, uint64_t key) {
    const size_t mask = shard.capacity - 1;
    size_t at = hash & mask;
    while (shard.entries[at].used &&
           (shard.entries[at].key != key || shard.entries[at].space != space)) {
      at = (at + 1) & mask;
    }
    return &shard.entries[at];
  }
  static void Erase(Shard& shard, Record* entry);
  static std::optional<Record> TakeNext(Shard& shard, const Wanted& wanted, Walk& walk);

  Shard shards_[kShards];
};

}  // namespace hami::limiter::account
