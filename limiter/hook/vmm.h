// Physical blocks of memory behind handles: what keeps them alive. A block is charged when it is
// made and given back when no handle, mapping or binding refers to it. Any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "limiter/hook/cuda_api.h"

namespace hami::limiter::hook {

// A number for what has handles or bindings; it never comes back, as handles do.
uint64_t NewIdentity();

// The block's identity.
std::optional<uint64_t> BlockOf(CUmemGenericAllocationHandle handle);
std::optional<uint64_t> BlockAt(CUdeviceptr address);
// Index of the card that it is charged on; -1: none.
int DeviceOfBlock(uint64_t identity);

// The place in a multicast object or array that refers to a block.
struct Binding {
  uint64_t place;  // unique
  uint64_t owner;  // object that takes the binding with it
  uint64_t block;
  uint64_t bytes;
};
// Before the driver call; one reference to the block. False: the place was bound already.
bool Bind(const Binding& binding);
// The binding has ended, or never came about. How many bytes it had.
std::optional<uint64_t> Unbind(uint64_t place);
// Everything bound to an object that has gone.
void UnbindAll(uint64_t owner);

}  // namespace hami::limiter::hook
