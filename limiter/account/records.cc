#include "limiter/account/records.h"

#include "limiter/sys/syscall.h"

namespace hami::limiter::account {

bool Records::Grow(Shard& shard) {
  const size_t capacity = shard.capacity == 0 ? kFirstCapacity : shard.capacity * 2;
  auto* entries = static_cast<Record*>(
      sys::Map(capacity * sizeof(Record), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1));
  if (entries == nullptr) return false;
  Record* const old = shard.entries;
  const size_t old_capacity = shard.capacity;
  shard.entries = entries;
  shard.capacity = capacity;
  for (size_t i = 0; i < old_capacity; ++i) {
    const Record& record = old[i];
    if (record.used)
      *Place(shard, Hash(record.space, record.key), record.space, record.key) = record;
  }
  if (old != nullptr) sys::Unmap(old, old_capacity * sizeof(Record));
  ++shard.moves;
  return true;
}

bool Records::Insert(const Record& record) { return Put(record, true); }

bool Records::InsertNew(const Record& record) { return Put(record, false); }

bool Records::Replace(uint64_t link, const Record& record) {
  const uint64_t hash = Hash(record.space, record.key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  if (shard.count == 0) return false;
  Record* entry = Place(shard, hash, record.space, record.key);
  if (!entry->used || entry->link != link) return false;
  *entry = record;
  entry->used = true;
  return true;
}

bool Records::Put(const Record& record, bool over) {
  const uint64_t hash = Hash(record.space, record.key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  // At most half full: runs are short.
  if ((shard.count + 1) * 2 > shard.capacity && !Grow(shard)) return false;
  Record* entry = Place(shard, hash, record.space, record.key);
  if (entry->used && !over) return false;
  if (!entry->used) ++shard.count;
  *entry = record;
  entry->used = true;
  return true;
}

// Closes the gap by moving later entries of the run back, so that no tombstones pile up.
void Records::Erase(Shard& shard, Record* entry) {
  const size_t mask = shard.capacity - 1;
  auto gap = static_cast<size_t>(entry - shard.entries);
  for (size_t at = (gap + 1) & mask; shard.entries[at].used; at = (at + 1) & mask) {
    const size_t home = Hash(shard.entries[at].space, shard.entries[at].key) & mask;
    if (((at - home) & mask) >= ((at - gap) & mask)) {
      shard.entries[gap] = shard.entries[at];
      gap = at;
    }
  }
  shard.entries[gap].used = false;
  --shard.count;
  ++shard.moves;
}

std::optional<Record> Records::Find(Space space, uint64_t key) {
  const uint64_t hash = Hash(space, key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  if (shard.count == 0) return std::nullopt;
  const Record* entry = Place(shard, hash, space, key);
  return entry->used ? std::optional(*entry) : std::nullopt;
}

std::optional<Record> Records::Take(Space space, uint64_t key) {
  const uint64_t hash = Hash(space, key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  if (shard.count == 0) return std::nullopt;
  Record* entry = Place(shard, hash, space, key);
  if (!entry->used) return std::nullopt;
  const Record taken = *entry;
  Erase(shard, entry);
  return taken;
}

std::optional<Record> Records::TakeIf(Space space, uint64_t key, uint64_t link) {
  const uint64_t hash = Hash(space, key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  if (shard.count == 0) return std::nullopt;
  Record* entry = Place(shard, hash, space, key);
  if (!entry->used || entry->link != link) return std::nullopt;
  const Record taken = *entry;
  Erase(shard, entry);
  return taken;
}

std::optional<Record> Records::AddReference(Space space, uint64_t key, int change) {
  const uint64_t hash = Hash(space, key);
  Shard& shard = ShardOf(hash);
  const sys::Guard guard(shard.lock);
  if (shard.count == 0) return std::nullopt;
  Record* entry = Place(shard, hash, space, key);
  if (!entry->used) return std::nullopt;
  entry->references += static_cast<uint32_t>(change);
  const Record changed = *entry;
  if (changed.references == 0) Erase(shard, entry);
  return changed;
}

// Goes on where it stopped: removing an entry moves later ones to it or behind it, never an unseen
// one before it. When others have moved entries meanwhile, it begins again.
std::optional<Record> Records::TakeNext(Shard& shard, const Wanted& wanted, Walk& walk) {
  const sys::Guard guard(shard.lock);
  if (shard.moves != walk.moves) walk = {0, shard.moves};
  for (; walk.next < shard.capacity && shard.count > 0; ++walk.next) {
    Record& entry = shard.entries[walk.next];
    if (!entry.used || entry.space != wanted.space || entry.*wanted.word != wanted.value) continue;
    const Record taken = entry;
    Erase(shard, &entry);
    walk.moves = shard.moves;
    return taken;
  }
  return std::nullopt;
}

std::optional<Record> Records::FindContaining(Space space, uint64_t address) {
  for (Shard& shard : shards_) {
    const sys::Guard guard(shard.lock);
    for (size_t i = 0; i < shard.capacity; ++i) {
      const Record& entry = shard.entries[i];
      if (entry.used && entry.space == space && address >= entry.key &&
          address - entry.key < entry.size) {
        return entry;
      }
    }
  }
  return std::nullopt;
}

void Records::AfterFork() {
  for (Shard& shard : shards_) {
    shard.lock.Reset();
    if (shard.entries != nullptr) sys::Unmap(shard.entries, shard.capacity * sizeof(Record));
    shard.entries = nullptr;
    shard.capacity = 0;
    shard.count = 0;
  }
}

}  // namespace hami::limiter::account
