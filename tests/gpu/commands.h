// The commands of gpu-check. Each prints one line of JSON per answer and returns an exit status.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hami::gpu {

// Which card and driver there are.
int ShowDevice();
// Allocates blocks, in the end of 2 MiB, until the driver refuses; says so; at the end of its input
// frees all and takes one block again.
int Fill(size_t block_mib);
// What NVML says that a process and all processes use: to be asked without libvgpu.so.
int ShowUsed(unsigned pid);
// Spin kernels one after the other; the share of time, from `warm_s` on for `seconds`, in which one
// ran, from the times that the kernels themselves wrote down.
int Spin(double warm_s, double seconds);
// Nanoseconds of a launch and of an allocation with its free.
int Overhead(int bursts, int calls);

}  // namespace hami::gpu
