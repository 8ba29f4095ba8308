// What kernels are called in every process. A handle means something in one process only; the name
// of a kernel and the content of the module that it is in are the same wherever it runs.
//
// A table of handles (modules, libraries, kernels, functions, executable graphs) and their names as
// hashes. A kernel's name ends with its module's. The table forgets some when there are many: what
// has no name is not shared. One per process, all zeros when new; any thread, no lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace hami::limiter::core {

constexpr uint64_t Mixed(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
  return hash ^ hash >> 29;
}
// Of 8 bytes at a time: pieces of a whole are hashed one after the other.
uint64_t HashOf(uint64_t seed, const char* bytes, size_t size);

class KernelNames {
 public:
  static KernelNames& Own() { return own_; }

  // 0: not known.
  uint64_t Of(uint64_t handle) const;

  // `name` 0: a handle that is gone, or was another's before and is not known now.
  void Set(uint64_t handle, uint64_t name) { Put(handle, {0, name}); }
  // A kernel of a module or library, by its name there.
  void SetMember(uint64_t handle, uint64_t owner, const char* name);
  // Another handle of the same.
  void SetAlias(uint64_t handle, uint64_t known) { Put(handle, Find(known)); }

 private:
  static constexpr uint32_t kBits = 11, kWays = 4;
  static constexpr uint64_t kChanging = 1;  // in place of a handle

  struct Name {
    uint64_t owner = 0;  // 0: none
    uint64_t hash = 0;   // 0: not known
  };
  struct Entry {
    std::atomic<uint64_t> handle{0}, owner{0}, hash{0};
  };
  static uint64_t Spread(uint64_t handle) { return handle * 0x9e3779b97f4a7c15u; }
  Name Find(uint64_t handle) const;
  void Put(uint64_t handle, const Name& name);

  static KernelNames own_;

  Entry table_[size_t{1} << kBits][kWays];
};

}  // namespace hami::limiter::core
