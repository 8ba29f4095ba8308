// What ledger.cc (books) and ledger_slots.cc (who takes part) share. Private to both.
#pragma once

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <cstring>

#include "sim/core/ledger.h"
#include "sim/core/text.h"

namespace hami::sim::ledger_detail {

inline constexpr uint64_t kSequenceMask = 0xfff;
inline constexpr uint64_t kNoLimit = ~uint64_t{0};
inline constexpr int64_t kReapPatienceNs = 10'000'000;

inline uint64_t UsedOf(uint64_t word) { return word >> 22; }
inline int SlotOf(uint64_t word) { return static_cast<int>((word >> 12) & 0x3ff); }
inline uint64_t SequenceOf(uint64_t word) { return word & kSequenceMask; }

inline uint64_t Pack(uint64_t used, int slot, uint64_t sequence) {
  return used << 22 | static_cast<uint64_t>(slot) << 12 | (sequence & kSequenceMask);
}

inline void Raise(std::atomic<uint64_t>& peak, uint64_t value) {
  uint64_t old = peak.load(std::memory_order_relaxed);
  while (old < value && !peak.compare_exchange_weak(old, value, std::memory_order_relaxed)) {
  }
}

inline void ResetRing(Ring& ring) {
  ring.last_done_ns = 0;
  ring.busy_total_ns = 0;
  ring.launches = 0;
  for (auto& bucket : ring.buckets) bucket = 0;
}

class Guard {
 public:
  explicit Guard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Guard() { pthread_mutex_unlock(&mutex_); }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;

 private:
  pthread_mutex_t& mutex_;
};

inline uint64_t NamespaceInode(const char* path) {
  char text[64] = "";
  const ssize_t n = readlink(path, text, sizeof text - 1);
  const char* open = n > 0 ? strchr(text, '[') : nullptr;
  uint64_t inode = 0;
  if (open != nullptr) {
    ParseUnsigned({open + 1, static_cast<size_t>(text + n - open - 2)}, inode);
  }
  return inode;
}

inline struct flock ByteRange(short type, int64_t byte) {
  struct flock range = {};
  range.l_type = type;
  range.l_whence = SEEK_SET;
  range.l_start = byte;
  range.l_len = 1;
  return range;
}

}  // namespace hami::sim::ledger_detail
