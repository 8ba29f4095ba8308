"""Allocates card memory until CUDA refuses, in ever smaller steps, and says whether that was right.

Knows nothing of HAMi: plain CUDA driver API. Exit status 1 if a request was refused that would have
fitted, or if more was granted than the card claims to have.
"""

import ctypes
import sys

MIB = 1 << 20
OUT_OF_MEMORY = 2

cuda = ctypes.CDLL("libcuda.so.1")


def must(name, *args):
    status = getattr(cuda, name)(*args)
    if status != 0:
        sys.exit(f"verdict: {name} failed with CUDA error {status}")


def memory():
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    must("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value


must("cuInit", 0)
device, context = ctypes.c_int(), ctypes.c_void_p()
must("cuDeviceGet", ctypes.byref(device), 0)
must("cuCtxCreate_v2", ctypes.byref(context), 0, device)

at_start, total = memory()
print(f"the card has {total // MIB} MiB, {at_start // MIB} of them free beside this program's context")
granted, refused_too_early = 0, 0
for block in (512 * MIB, 64 * MIB, 2 * MIB):
    while True:
        free, _ = memory()
        pointer = ctypes.c_void_p()
        status = cuda.cuMemAlloc_v2(ctypes.byref(pointer), ctypes.c_size_t(block))
        if status == 0:
            granted += block
            continue
        if status != OUT_OF_MEMORY:
            sys.exit(f"verdict: cuMemAlloc failed with CUDA error {status}, expected {OUT_OF_MEMORY}")
        print(f"{granted // MIB} MiB granted; {block // MIB} MiB more: CUDA_ERROR_OUT_OF_MEMORY, {free // MIB} MiB free")
        refused_too_early += free >= block
        break

if refused_too_early:
    sys.exit("verdict: refused although it would have fitted")
if granted > at_start:
    sys.exit(f"verdict: {granted // MIB} MiB granted, more than the {at_start // MIB} MiB that were free")
print(f"verdict: exact: {granted // MIB} of {total // MIB} MiB granted, the rest is the context's; "
      "CUDA_ERROR_OUT_OF_MEMORY at the limit and not before")
