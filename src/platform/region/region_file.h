// The shared region of a container, from the node's side: made before the container starts, read
// while it runs (docs/formats/region.md).
//
// The library in the container writes the same file at any time, so a snapshot is a set of figures
// each of which was true at a moment, not one moment of all. Stateless; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/units.h"

namespace hami::region {

// One card of a container, in the order of the management library's index.
struct CardLimit {
  std::string uuid;
  Bytes memory;          // 0 = no limit
  Bytes physical_share;  // real memory behind it; 0 = all of it is real
  Percent cores;         // 0 or 100 = no limit
};

struct NewRegion {
  std::vector<CardLimit> cards;
  int priority = 1;
  int64_t unix_seconds = 0;  // when it is made
};

// Makes the file with its limits, complete before it gets its name; one that is there stays as it
// is. kInvalidArgument: more cards than a region has; else what the file system says.
Result<void> Create(const std::string& path, const NewRegion& wanted);

struct CardUsage {
  std::string uuid;
  Bytes limit;
  Percent cores;
  Bytes used;  // of all processes, what the next request is judged by
};
struct ProcessCard {
  Bytes data, context, module, vmm, pool, managed;
  Bytes Total() const { return data + context + module + vmm + pool + managed; }
};
struct ProcessUsage {
  int slot = 0;
  int pid = 0;                     // as the container sees it
  int host_pid = 0;                // 0 = unknown
  std::vector<ProcessCard> cards;  // by index, as Snapshot.cards
};
struct Snapshot {
  bool own_block = false;  // false: a reference made it; `used` is the sum of its slots
  int priority = 1;
  std::vector<CardUsage> cards;
  std::vector<ProcessUsage> processes;
};

// kNotFound, kDataLoss (not a region, or of another major version), or what the file system says.
Result<Snapshot> Read(const std::string& path);

}  // namespace hami::region
