// Arrays: opaque memory of the card.
#pragma once

#include "sim/cuda/driver.h"

namespace hami::sim {

struct Physical;

// A piece of a sparse array and the physical memory that is mapped there.
struct Tile {
  int32_t kind;
  unsigned char place[32];  // as the program wrote it: level, layer, offsets, extents
  Physical* physical;
  Tile* next;
};

struct Array : Tagged {
  static constexpr uint32_t kTag = 0x41525259;
  static constexpr int kList = 5;
  Context* context = nullptr;
  int card = -1;
  uint64_t charged = 0;
  CudaArray3dDescriptor shape = {};
  Tile* tiles = nullptr;  // guarded by memory_mutex
  Array* next = nullptr;  // of the same context
};

// A chain of arrays, each half as large as the one before it.
struct MipmappedArray : Tagged {
  static constexpr uint32_t kTag = 0x4d495041;
  static constexpr int kList = 13;
  static constexpr unsigned kMostLevels = 32;
  Array* levels[kMostLevels] = {};
  unsigned count = 0;
  Tile* tiles = nullptr;
};

inline constexpr unsigned kSparseArray = 0x40, kDeferredArray = 0x80;

// What is mapped into a sparse array goes with it; memory_mutex held.
void DropTiles(Driver& driver, Tile** tiles);

// Bytes of one element, all channels; 0 for a format that is not simulated.
uint64_t ElementBytes(const CudaArray3dDescriptor& shape);

}  // namespace hami::sim
