// What a module needs of its card, and what it is, told by its image before the driver sees it.
//
// Only a linked cubin says how much it takes: an ELF file for the card, whose sections are what is
// loaded. PTX is yet to be compiled, and most fat binaries are compressed: their size is known
// after the load. An image in memory comes without a length, so it is read through the kernel,
// which refuses what is not there instead of raising a signal. Any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace hami::limiter::hook {

struct Image {
  std::optional<uint64_t> bytes;  // that it takes on a card
  uint64_t content = 0;  // a hash, the same in each process, of its length, its first and its last
                         // MiB; 0: it cannot be told where it ends
};

Image ReadImage(const void* image);
Image ReadImageFile(const char* path);

}  // namespace hami::limiter::hook
