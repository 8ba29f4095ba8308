// The processes on a card, as an observer from outside sees them.
#pragma once

#include "sim/nvml/library.h"

namespace hami::sim {

// What NVML tells instead of a pid of this namespace; 0: nothing.
inline int32_t ShownPid(const CardSet& set, int32_t pid) {
  if (pid <= 0 || set.hide_all_pids) return 0;
  for (int i = 0; i < set.hidden_pid_count; ++i) {
    if (set.hidden_pids[i] == pid) return 0;
  }
  return pid + set.pid_offset;
}

// Calls visit(slot, pid, bytes) for every process that holds memory of the card and that the
// caller's pid namespace can see. Frees what dead processes held first.
template <class Visit>
void ForEachProcess(NvmlLibrary& library, int card, Visit visit) {
  Ledger& ledger = library.machine().ledger();
  if (!ledger.is_open()) return;
  ledger.Reap();
  StateFile& file = *ledger.file();
  const int high = file.slots_high.load(std::memory_order_acquire);
  for (int slot = 0; slot < high; ++slot) {
    if (file.slots[slot].used.load(std::memory_order_acquire) == 0) continue;
    const uint64_t bytes = file.lines[slot][card].used.load(std::memory_order_relaxed);
    if (bytes == 0 || !ledger.IsAlive(slot)) continue;
    const int32_t pid = ShownPid(library.machine().cards(), ledger.PidOf(slot));
    if (pid > 0) visit(slot, static_cast<uint32_t>(pid), bytes);
  }
}

// First argument of the process's command line; false when it cannot be read from here.
bool ProcessName(uint32_t pid, char* name, size_t size);

}  // namespace hami::sim
