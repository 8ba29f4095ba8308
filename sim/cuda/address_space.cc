#include "sim/cuda/address_space.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace hami::sim {
namespace {

constexpr uint64_t kWindow = uint64_t{8} << 40;
constexpr uint64_t kSmallestWindow = uint64_t{64} << 30;
constexpr uint64_t kInventedBase = uint64_t{0xd00} << 32;

template <class T>
T* Make() {
  void* room = malloc(sizeof(T));
  return room == nullptr ? nullptr : new (room) T;
}

}  // namespace

// One granule cut into pieces of one size.
struct AddressSpace::Slab {
  uint64_t granule = 0;
  int shift = 0;
  bool backed = false;
  uint32_t free_count = 0;
  Slab* previous = nullptr;
  Slab* next = nullptr;
  uint16_t* free_pieces = nullptr;
  Block** blocks = nullptr;
};

void AddressSpace::Open() {
  for (uint64_t size = kWindow; size >= kSmallestWindow; size /= 2) {
    void* map = mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) continue;
    const auto at = reinterpret_cast<uintptr_t>(map);
    base_ = (at + (uint64_t{1} << kGranuleShift) - 1) >> kGranuleShift << kGranuleShift;
    granules_ = (size >> kGranuleShift) - 1;
    reserved_ = true;
    break;
  }
  if (!reserved_) {
    base_ = kInventedBase;
    granules_ = kSmallestWindow >> kGranuleShift;
  }
  void* table = mmap(nullptr, granules_ * sizeof(uintptr_t), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (table == MAP_FAILED) {
    granules_ = 0;
    return;
  }
  owners_ = static_cast<uintptr_t*>(table);
}

bool AddressSpace::Back(uint64_t address, uint64_t size) {
  return reserved_ && mprotect(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE) == 0;
}

uint64_t AddressSpace::TakeGranules(uint64_t count) {
  for (Run** at = &runs_; *at != nullptr; at = &(*at)->next) {
    Run* run = *at;
    if (run->count < count) continue;
    const uint64_t first = run->first;
    run->first += count;
    run->count -= count;
    if (run->count == 0) {
      *at = run->next;
      free(run);
    }
    return first;
  }
  if (granules_ - fresh_ < count) return granules_;
  fresh_ += count;
  return fresh_ - count;
}

// Runs stay sorted by address and never touch each other.
void AddressSpace::GiveGranules(uint64_t first, uint64_t count) {
  Run* before = nullptr;
  Run* after = runs_;
  while (after != nullptr && after->first < first) {
    before = after;
    after = after->next;
  }
  if (before != nullptr && before->first + before->count == first) {
    before->count += count;
  } else {
    Run* run = Make<Run>();
    if (run == nullptr) return;  // the addresses are lost, nothing else
    run->first = first;
    run->count = count;
    run->next = after;
    (before == nullptr ? runs_ : before->next) = run;
    before = run;
  }
  if (after != nullptr && before->first + before->count == after->first) {
    before->count += after->count;
    before->next = after->next;
    free(after);
  }
}

Block* AddressSpace::Allocate(uint64_t size, bool backed) {
  Block* block = Make<Block>();
  if (block == nullptr) return nullptr;
  block->size = size;
  constexpr uint64_t kGranule = uint64_t{1} << kGranuleShift;
  if (size > kGranule / 2 || backed) {  // backed blocks never share a granule with others
    const uint64_t count = (size + kGranule - 1) >> kGranuleShift;
    const uint64_t first = TakeGranules(count);
    if (first == granules_ || (backed && !Back(Address(first), count << kGranuleShift))) {
      if (first != granules_) GiveGranules(first, count);
      free(block);
      return nullptr;
    }
    block->base = Address(first);
    for (uint64_t i = 0; i < count; ++i) owners_[first + i] = reinterpret_cast<uintptr_t>(block);
    return block;
  }
  int shift = kSmallestShift;
  while ((uint64_t{1} << shift) < size) ++shift;
  Slab*& partial = partial_[shift - kSmallestShift];
  const uint32_t pieces = uint32_t{1} << (kGranuleShift - shift);
  if (partial == nullptr) {
    Slab* slab = Make<Slab>();
    const uint64_t granule = slab == nullptr ? granules_ : TakeGranules(1);
    if (granule != granules_) {
      slab->free_pieces = static_cast<uint16_t*>(malloc(pieces * sizeof(uint16_t)));
      slab->blocks = static_cast<Block**>(calloc(pieces, sizeof(Block*)));
    }
    if (granule == granules_ || slab->free_pieces == nullptr || slab->blocks == nullptr) {
      free(slab);
      free(block);
      return nullptr;
    }
    slab->granule = granule;
    slab->shift = shift;
    slab->free_count = pieces;
    for (uint32_t i = 0; i < pieces; ++i) {
      slab->free_pieces[i] = static_cast<uint16_t>(pieces - 1 - i);
    }
    owners_[granule] = reinterpret_cast<uintptr_t>(slab) | 1;
    partial = slab;
  }
  Slab* slab = partial;
  const uint16_t piece = slab->free_pieces[--slab->free_count];
  slab->blocks[piece] = block;
  block->base = Address(slab->granule) + (uint64_t{piece} << shift);
  if (slab->free_count == 0) {  // full: off the list
    partial = slab->next;
    if (partial != nullptr) partial->previous = nullptr;
    slab->next = nullptr;
  }
  return block;
}

void AddressSpace::Free(Block* block) {
  const uint64_t granule = (block->base - base_) >> kGranuleShift;
  const uintptr_t owner = owners_[granule];
  if ((owner & 1) == 0) {
    const uint64_t count = (block->size + (uint64_t{1} << kGranuleShift) - 1) >> kGranuleShift;
    for (uint64_t i = 0; i < count; ++i) owners_[granule + i] = 0;
    if (reserved_) {
      // Gives the pages back and the protection too; the range itself stays ours.
      mmap(reinterpret_cast<void*>(block->base), count << kGranuleShift, PROT_NONE,
           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    }
    GiveGranules(granule, count);
    free(block);
    return;
  }
  auto* slab = reinterpret_cast<Slab*>(owner & ~uintptr_t{1});
  const auto piece = static_cast<uint16_t>((block->base - Address(granule)) >> slab->shift);
  slab->blocks[piece] = nullptr;
  slab->free_pieces[slab->free_count++] = piece;
  if (slab->free_count == 1) {  // was full: back on the list
    Slab*& partial = partial_[slab->shift - kSmallestShift];
    slab->previous = nullptr;
    slab->next = partial;
    if (partial != nullptr) partial->previous = slab;
    partial = slab;
  }
  free(block);
}

Block* AddressSpace::Find(uint64_t address) const {
  if (address < base_) return nullptr;
  const uint64_t granule = (address - base_) >> kGranuleShift;
  if (granule >= fresh_) return nullptr;
  const uintptr_t owner = owners_[granule];
  if (owner == 0) return nullptr;
  Block* block = nullptr;
  if ((owner & 1) == 0) {
    block = reinterpret_cast<Block*>(owner);
  } else {
    const auto* slab = reinterpret_cast<const Slab*>(owner & ~uintptr_t{1});
    block = slab->blocks[(address - Address(granule)) >> slab->shift];
  }
  return block != nullptr && address - block->base < block->size ? block : nullptr;
}

}  // namespace hami::sim
