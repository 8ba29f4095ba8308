// A region mapped by the node, to check and to change it while its processes run: live resize,
// giving back the slots of the dead, suspending.
//
// The arithmetic is the library's own (limiter/region/account.h, slots.h), so there is one answer
// to what is right (docs/adr/0014-one-arithmetic.md). Owns its mapping and its descriptor. Any
// thread, one at a time. A file that somebody cuts short meanwhile raises SIGBUS: programs that map
// files of others handle it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "abi/region.h"
#include "platform/region/layout.h"
#include "platform/region/limits_file.h"
#include "platform/region/open_file.h"
#include "platform/region/process_life.h"
#include "platform/region/region_file.h"

namespace hami::region {

class MappedRegion {
 public:
  // As Read; besides, kPermissionDenied when it may not be written and `may_write` asks for it.
  static Result<MappedRegion> Open(const std::string& path, bool may_write);

  MappedRegion(MappedRegion&& other) noexcept;
  MappedRegion& operator=(MappedRegion&&) = delete;
  ~MappedRegion();

  Layout layout() const { return layout_; }
  // Our block is there and of exactly the geometry that this build knows: only then words of it may
  // be changed.
  bool known_block() const;
  HamiRegion& words() const { return *reinterpret_cast<HamiRegion*>(bytes_); }

  Snapshot Look() const;
  WordReader Words() const { return WordReader({reinterpret_cast<const char*>(bytes_), size_}); }
  ProcessLife LifeOf(const ProcessUsage& process) const;

  // Changes the limits of card `index` for all processes at once, under limits_seq, and wakes
  // whoever waits for a limit. kConflict: somebody else is changing them now.
  Result<void> Change(size_t index, const LimitChange& change);

  struct Cleaned {
    std::vector<int> slots;      // given back
    std::vector<int> unknown;    // may be dead, cannot be told from here yet
    std::vector<size_t> totals;  // cards whose total was lowered
  };
  // Gives back slots of dead processes and lowers totals to what lives.
  Cleaned Clean();

  // Marks every living process as suspended or running; how many.
  int Suspend(bool suspended);

 private:
  MappedRegion(File file, uint8_t* bytes, uint64_t size, Layout layout)
      : file_(std::move(file)), bytes_(bytes), size_(size), layout_(layout) {}
  bool CleanSlot(int slot, Cleaned& cleaned);

  File file_;
  uint8_t* bytes_;
  uint64_t size_;
  Layout layout_;
};

}  // namespace hami::region
