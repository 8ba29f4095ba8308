// Ledger: who holds how much memory of which card, exact at any moment and under kill -9.
//
// The state file is shared by all processes of the simulated machine. A process owns one slot while
// it holds an open-file-description lock on the slot's byte; when that lock goes, its memory is
// free, as a driver frees at close. Nobody is ever asked whether a pid lives. Every change of a
// card is one compare-and-swap that never overshoots the card's size and names its author, so that
// whoever follows can finish the books of an author killed half-way (see ledger.cc).
//
// One Ledger per process and library; every function may be called from any thread. After fork the
// child must call ForgetAfterFork before anything else.
#pragma once

#include <pthread.h>

#include <cstdint>

#include "sim/core/state_layout.h"

namespace hami::sim {

class Ledger {
 public:
  Ledger() = default;
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // Gives everything back; for tools. No destructor does it: the libraries keep theirs to the end.
  void Close();

  // Maps the file, creating it when may_write. Read-only files give a ledger that can only look.
  bool Open(const char* path, bool may_write, ReadError& error);
  bool is_open() const { return file_ != nullptr; }

  // Takes a slot for this process; false when all are taken or the ledger is read-only.
  bool Join();
  int slot() const { return slot_; }

  // True while the slot is still ours: a process that closed all its descriptors has lost it.
  bool Holds() const;

  void ForgetAfterFork();

  // Adds bytes for this process; false, with nothing changed, if the card would exceed `limit`.
  bool Take(int card, uint64_t bytes, uint64_t limit, Kind kind);
  void Give(int card, uint64_t bytes, Kind kind);

  // Frees what dead processes held; returns how many there were.
  int Reap();
  // The same, but not more often than once a millisecond: for calls on hot paths.
  void ReapSometimes();

  // Bytes in use on the card by living processes. Reaps first if it can.
  uint64_t Used(int card);
  uint64_t Peak(int card) const;
  uint64_t GroupUsed(int group, int card) const;
  uint64_t GroupPeak(int group, int card) const;
  void ResetPeaks();

  // Pid of the slot's owner as seen from this process's pid namespace; 0: not visible from here.
  int32_t PidOf(int slot) const;
  bool IsAlive(int slot) const;

  // Tells all who listen that the card reported an Xid.
  void AddEvent(int card, uint32_t xid);

  // One process at a time moves a time-sliced card's schedule on. A holder that dies lets go.
  void LockCard(int card);
  void UnlockCard(int card);
  bool may_write() const { return file_ != nullptr && !read_only_ && lock_fd_ >= 0; }

  StateFile* file() const { return file_; }

 private:
  bool Create(int fd, ReadError& error);
  bool LockByte(int fd, int64_t byte, bool wait) const;
  void UnlockByte(int fd, int64_t byte) const;
  bool OpenLockDescription();
  int FindGroup();
  void FillSlot(int slot);
  bool Apply(int slot, int card, int64_t delta, uint64_t limit);
  bool Move(AccountWord& word, bool is_group, int slot, int card, int64_t delta, uint64_t limit);
  void Settle(AccountWord& word, bool is_group, int slot, int card, uint64_t seen);
  bool Reached(const AccountWord& word, bool is_group, int slot, int card) const;
  void Finish(int slot, int card);
  void FreeSlot(int slot);
  int ReapLocked();

  StateFile* file_ = nullptr;
  char path_[4096] = "";
  bool read_only_ = false;
  int map_fd_ = -1;   // never closed while open: closing it would drop the POSIX lock
  int lock_fd_ = -1;  // a description of its own: a mapping would keep its lock alive
  int slot_ = -1;
  uint32_t epoch_ = 0;
  int64_t last_reap_ns_ = 0;
  pthread_mutex_t slot_mutex_ = PTHREAD_MUTEX_INITIALIZER;  // joining and reaping of this process
  pthread_mutex_t book_mutex_[kMaxCards] = {};              // one operation per line at a time
  pthread_mutex_t card_mutex_[kMaxCards] = {};              // LockCard between threads
};

// CLOCK_MONOTONIC and CLOCK_REALTIME in nanoseconds.
int64_t NowMonotonicNs();
int64_t NowRealtimeNs();

}  // namespace hami::sim
