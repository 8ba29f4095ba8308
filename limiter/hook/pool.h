// Stream-ordered pools. What counts is what a pool has reserved of the card, not what the program
// asked for: freed blocks stay in the pool until it is trimmed or the driver gives them back.
//
// Per pool: `live` = bytes granted and not freed, `booked` = bytes in the account, always >= live
// and, when no request is under way, >= what the driver reports as reserved. Any thread; a pool's
// lock is never held across a driver call.
#pragma once

#include "limiter/account/records.h"
#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

// The program gave a block back to its pool (cuMemFree or cuMemFreeAsync).
void PoolFreed(const account::Record& record);

// Whether a call on this stream becomes a node of a graph instead of acting now.
bool IsCapturing(CUstream stream);

// Makes the pools of a card give back what they do not need. True: the account went down.
bool TrimPools(unsigned device);

}  // namespace hami::limiter::hook
