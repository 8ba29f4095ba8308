// Device addresses of one process: hands out ranges of one reserved window and finds the block that
// an address belongs to, both in constant time however many blocks live.
//
// The window is real address space that nothing else can use; blocks whose contents are kept are
// backed by memory that appears when touched. Not thread-safe: the caller holds Driver's memory
// lock.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hami::sim {

struct Context;
struct Pool;
struct Mapping;

enum class BlockKind : uint8_t { kDevice, kManaged, kPooled, kHost, kReserved, kGraph };

struct Block {
  uint64_t base = 0;
  uint64_t size = 0;     // as requested
  uint64_t charged = 0;  // as booked on the card
  BlockKind kind = BlockKind::kDevice;
  bool read_only = false;
  int card = -1;
  Context* context = nullptr;
  Pool* pool = nullptr;
  Mapping* mappings = nullptr;  // of a reserved range, by address
  uint32_t graph_nodes = 0;     // nodes that allocate a graph's block
  bool is_allocated = false;    // a graph's block: between its allocation and its end
  bool is_orphan = false;       // a graph's block: allocated, and its graph is gone
  Block* previous = nullptr;    // blocks of one context
  Block* next = nullptr;
};

class AddressSpace {
 public:
  // Reserves the window; without address space left (RLIMIT_AS) addresses are invented instead.
  void Open();

  // A range of at least `size` bytes, aligned to 512 bytes, to 2 MiB from 1 MiB on. With `backed`
  // the range can be read and written. Null when the window is full or cannot be backed.
  Block* Allocate(uint64_t size, bool backed);
  void Free(Block* block);

  // The block that contains the address; null if none.
  Block* Find(uint64_t address) const;

 private:
  struct Slab;
  struct Run {
    uint64_t first, count;
    Run* next;
  };

  uint64_t TakeGranules(uint64_t count);
  void GiveGranules(uint64_t first, uint64_t count);
  bool Back(uint64_t address, uint64_t size);
  uint64_t Address(uint64_t granule) const { return base_ + (granule << kGranuleShift); }

  static constexpr int kGranuleShift = 21;
  static constexpr int kSmallestShift = 9;
  static constexpr int kClasses = kGranuleShift - kSmallestShift;

  uint64_t base_ = 0;
  uint64_t granules_ = 0;
  uint64_t fresh_ = 0;  // granules from here on were never used
  bool reserved_ = false;
  uintptr_t* owners_ = nullptr;  // per granule: Block*, Slab* | 1, or 0
  Slab* partial_[kClasses] = {};
  Run* runs_ = nullptr;
};

}  // namespace hami::sim
