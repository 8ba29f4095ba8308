#!/bin/bash
# libvgpu.so for aarch64 on another machine: tests of this folder once more, with the programs of a cross build under
# qemu-user. The test itself and its judge, the simulated card's books, run here as ever.
#
# usage: tests/limiter/aarch64_test.sh [--all]   --all: also what takes long (some three minutes)
set -euo pipefail
cd "$(dirname "$0")/../.."

# Every kind of hook once, what is in assembly (dlsym, dlvsym, launches) in full.
selected='AbiTest.*:OwnPrograms/*:Ways/*:LoadingTest.NoDriver*:LoadingTest.Errno*:LoadingTest.AnExplicit*'
selected+=':LinkerTest.E*:LinkerTest.N*:LinkerTest.ADriver*:*InterposerTest.*:FutureDriverTest.*:MigTest.*'
selected+=':MemoryTest.*:ContextTest.*:GraphTest.*:ViewTest.*:Kinds/EveryBlocked.*:ResizeTest.U*'
selected+=':CoreTest.ALimitReachesAContainerThatHadNone:ProcessTest.AD*:ProcessTest.AF*'
# Not under qemu-user:
impossible='Programs/*:LoadingTest.AStatic*:LoadingTest.ASetuid*:LoadingTest.*Execs*' # start programs of this machine
impossible+=':ProcessTest.AProgramThatReplacesItself*' # an exec needs binfmt_misc
# Mixes its own start time into /proc/self/stat: who has lost its lock looks dead to others.
impossible+=':ProcessTest.ADaemonThatClosedEverything*'
impossible+=':CoreTest.OnlyLimitedProcessesHaveAThread*' # threads and signal masks are those of qemu
# Managed memory wants 64 GiB of address space from the simulated driver: qemu takes minutes to note its pages (-R).
impossible+=':OversubscribeTest.*:MemoryTest.Managed*:MemoryTest.CrossFrees*:ContextTest.TheRegionShows*'

case ${1:-} in
  "") ;;
  --all) selected='*' ;;
  --help | -h) sed -n '2,5s/^# \?//p' "$0"; exit 0 ;;
  *) echo "$0: unknown argument \"$1\" (--help tells more)" >&2; exit 2 ;;
esac

cross=$PWD/build/release-aarch64
cmake --preset release-aarch64 >/dev/null
cmake --build --preset release-aarch64
cmake --preset dev >/dev/null
cmake --build --preset dev --target limiter_preload_test
sim/abi_test.sh "$cross"/lib/sim/lib{cuda,nvidia-ml}.so.1 "$cross/bin/gpu-alloc" "$cross/lib/sim/libcudart.so.12"
export HAMI_TEST_TREE=$cross HAMI_TEST_EMULATOR="qemu-aarch64 -R 16G -L /usr/aarch64-linux-gnu"
exec build/dev/tests/limiter_preload_test --gtest_filter="$selected:-$impossible"
