// What every acting hook begins with, and what it knows about the calling thread's card.
#pragma once

#include <atomic>

#include "limiter/account/records.h"
#include "limiter/hook/cuda_api.h"
#include "limiter/hook/tables.h"

namespace hami::limiter::hook {

// Sets the library up at first use. False: an administrator has switched it off.
bool SetUp();
extern constinit std::atomic<bool> is_set_up;
inline bool Ready() { return is_set_up.load(std::memory_order_acquire) || SetUp(); }

// The process's records.
extern constinit account::Records own_records __attribute__((visibility("hidden")));
inline account::Records& OwnRecords() { return own_records; }

// Index in the region of a CUDA ordinal, by UUID (spec B10): CUDA_VISIBLE_DEVICES may leave cards
// out and reorder them. Negative: no such card.
int IndexOf(CUdevice ordinal);

// The same for a place that a program names; negative: not on a card.
int DeviceOf(const CUmemLocation& location);

struct Current {
  bool valid = false;  // false: no context, the driver will say so itself
  CUcontext context = nullptr;
  uint64_t owner = 0;  // what dies with the context has it as owner
  CUdevice ordinal = -1;
  unsigned index = 0;
};
Current CurrentDevice();

// The context in which the calling thread was last, as long as no context of the process has gone.
struct SeenContext {
  CUcontext context = nullptr;
  uint64_t owner = 0;
  uint32_t generation = 0;
  int16_t ordinal = -1;
  int16_t index = -1;
};
extern constinit thread_local SeenContext seen_context
    __attribute__((tls_model("initial-exec"), visibility("hidden")));
extern constinit std::atomic<uint32_t> context_generation;

inline bool SeenBefore(CUcontext context) {
  return seen_context.context == context && context != nullptr &&
         seen_context.generation == context_generation.load(std::memory_order_acquire);
}

// A context has gone: its number may come back for another card.
void ForgetContexts();
// The same for the calling thread alone, which may have a new context under an old handle.
void ForgetSeenContext();

// Gives back what a record was charged. For a pointer or array that the driver has freed.
void ReleaseRecord(const account::Record& record);

// Lets the driver free what has a record, and un-charges it once it has. The record is taken first:
// once the driver has freed the address, another thread may be given it. Without a record the call
// alone is made.
template <class Call>
CUresult FreeRecorded(account::Space space, uint64_t key, Call call) {
  const auto record = OwnRecords().Take(space, key);
  const CUresult result = call();
  if (!record) return result;
  if (result == CUDA_SUCCESS) {
    ReleaseRecord(*record);
  } else {
    OwnRecords().Insert(*record);
  }
  return result;
}

// For the child of a fork.
void ForgetPoolsAfterFork();

inline uint64_t KeyOf(const void* handle) { return reinterpret_cast<uint64_t>(handle); }

}  // namespace hami::limiter::hook

// Declares `real`; passes the call on when the library does not act.
#define HAMI_ACT(name, ...)                                               \
  const auto real = HAMI_REAL(name);                                      \
  if (real == nullptr) return CUDA_ERROR_NOT_FOUND;                       \
  if (::hami::limiter::hook::Busy() || !::hami::limiter::hook::Ready()) { \
    return real(__VA_ARGS__);                                             \
  }                                                                       \
  const ::hami::limiter::hook::Inside inside
