// The shared region of a container, from the node's side: made before the container starts, read
// while it runs (docs/formats/region.md).
//
// The library in the container writes the same file at any time, so a snapshot is a set of figures
// each of which was true at a moment, not one moment of all. The file belongs to the container's
// user, so nothing in it is believed: counts are bounded, offsets checked. Stateless; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
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

// Who made the file: a reference of before or after its region had a version, or we.
enum class Layout : uint8_t { kV0, kV1, kOwn };
std::string_view LayoutName(Layout layout);  // "v0", "v1", "v1+own"

struct CardUsage {
  std::string uuid;
  Bytes limit;
  Bytes initial_limit;   // when the container started; own block only
  Bytes physical_share;  // 0 = all of it is real; own block only
  Bytes context_size;    // of one context, 0 = not known yet; own block only
  Percent cores;
  Bytes used;  // of all processes, what the next request is judged by
};

struct ProcessCard {
  Bytes data, context, module, vmm, pool, managed;
  Bytes pending;  // asked for and not yet granted, or being freed
  Bytes Total() const { return data + context + module + vmm + pool + managed; }
};

struct ProcessUsage {
  int slot = 0;
  bool ours = false;   // of our library: has a lock and an identity
  uint32_t state = 0;  // HAMI_SLOT_*; a reference's process counts as live
  int pid = 0;         // as the container sees it
  int host_pid = 0;    // 0 = unknown
  bool suspended = false;
  uint64_t pid_namespace = 0;      // inode; 0 = not recorded
  uint64_t start_ticks = 0;        // since boot; 0 = not recorded
  std::vector<ProcessCard> cards;  // by index, as Snapshot.cards
};

// What went wrong since the region was made.
struct Counters {
  uint64_t saturated = 0, reaped = 0, repaired = 0, refused = 0, unaccounted = 0;
};

struct Snapshot {
  Layout layout = Layout::kV1;
  uint64_t file_size = 0;
  uint32_t major = 0, minor = 0;          // of the prefix; 0.0 in version 0
  uint32_t own_major = 0, own_minor = 0;  // of the block; 0.0 without one
  int priority = 1;
  int utilization_switch = 0;         // 1: the monitor has engaged core limits
  int recent_kernel = 0;              // > 0: launched lately; < 0: blocked by a higher priority
  int64_t last_kernel_time = 0;       // unix seconds
  uint64_t monitor_heartbeat_ns = 0;  // boot clock; 0 = the monitor does not write it
  uint64_t limits_changed = 0;        // times since the region was made
  bool ever_joined = false;           // a process of our library has been in it; own block only
  std::string boot_id;                // of the creator, 32 hexadecimal digits; own block only
  Counters counters;
  std::vector<CardUsage> cards;
  std::vector<ProcessUsage> processes;

  bool own_block() const { return layout == Layout::kOwn; }
};

// Pure. kDataLoss: not a region, cut short, or of another major version; says which.
Result<Snapshot> Decode(std::string_view bytes);

// kNotFound, kDataLoss, kFailedPrecondition (a symbolic link, or not a regular file), or what the
// file system says.
Result<Snapshot> Read(const std::string& path);

}  // namespace hami::region
