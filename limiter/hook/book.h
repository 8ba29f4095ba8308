// After the driver has granted memory: a record under its address, and the account.
#pragma once

#include <cstdint>

#include "limiter/account/charge.h"
#include "limiter/hook/prologue.h"

namespace hami::limiter::hook {

// `bytes` on the calling thread's card, gone with its context.
inline account::Record RecordOf(const Current& current, account::Space space, uint64_t key,
                                uint64_t bytes, uint8_t kind) {
  account::Record record;
  record.key = key;
  record.size = bytes;
  record.owner = current.owner;
  record.space = space;
  record.kind = kind;
  record.device = static_cast<int8_t>(current.index);
  return record;
}

// Takes the record in. A context that has just ended in another thread may not have given back yet
// what was under the key. False: no memory for the record.
bool RememberInstead(const account::Record& record);
inline bool Remember(const account::Record& record) {
  return OwnRecords().InsertNew(record) || RememberInstead(record);
}

// Books what `room` was reserved for, or lets `undo` give it back to the driver: it took more than
// there is room for, or there is no memory for the record. The account goes down after the driver.
template <class Undo>
CUresult Book(account::Reservation& room, const account::Record& record, Undo undo) {
  const bool kept = room.Keep(record.kind, record.size);
  if (kept && Remember(record)) return CUDA_SUCCESS;
  undo();
  if (kept) ReleaseRecord(record);
  return CUDA_ERROR_OUT_OF_MEMORY;
}

}  // namespace hami::limiter::hook
