// What a module needs of its card, told by its image before the driver sees it.
//
// Only a linked cubin says it: an ELF file for the card, whose sections are what is loaded. PTX is
// yet to be compiled, and most fat binaries are compressed: their size is known after the load. An
// image in memory comes without a length, so it is read through the kernel, which refuses what is
// not there instead of raising a signal. Any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace hami::limiter::hook {

std::optional<uint64_t> BytesOfImage(const void* image);
std::optional<uint64_t> BytesOfImageFile(const char* path);

}  // namespace hami::limiter::hook
