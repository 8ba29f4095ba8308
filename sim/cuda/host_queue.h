// Functions of the program that the card's queue calls in between kernels, on a thread of the
// driver's own, which starts with the first of them. What a stream runs after such a function does
// not wait for its end; whoever synchronises does. Any thread may call.
#pragma once

#include <cstdint>

namespace hami::sim {

struct CudaStream;

struct HostCall {
  void (*function)(void* data) = nullptr;
  void (*callback)(CudaStream* stream, int status, void* data) = nullptr;  // or this one
  CudaStream* stream = nullptr;
  void* data = nullptr;
};

// Calls it once the work up to `mark` is done on the card. Returns a ticket, 0 without memory.
uint64_t QueueHostCall(int card, int64_t mark, const HostCall& call);

bool HostCallDone(uint64_t ticket);
void AwaitHostCall(uint64_t ticket);
void AwaitAllHostCalls();

}  // namespace hami::sim
