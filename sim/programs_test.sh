#!/bin/bash
# Programs of others on simulated cards: the real nvidia-smi and pynvml (tools/fetch-programs), and our own
# gpu-alloc and hami-sim.
set -euo pipefail
build=$1
scratch=$(mktemp -d)
holder=
cleanup() {
  if [ -n "$holder" ]; then kill "$holder" 2>/dev/null || true; fi
  rm -rf "$scratch"
}
trap cleanup EXIT
fail() {
  echo "programs_test: $*" >&2
  exit 1
}
programs=$("$(dirname "$0")/../tools/fetch-programs") || fail "cannot fetch nvidia-smi and pynvml"
eval "$programs"
cat >"$scratch/cards.yaml" <<'YAML'
driver: 535.261.03
cuda: 12.2
cards:
  - {model: NVIDIA A100-SXM4-40GB, count: 2, context_mib: 200, numa: 0}
  - {model: Tesla T4, count: 2, memory_mib: 3000, context_mib: 256, numa: 1}
links: [{between: [0, 1], nvlink: 4}]
YAML
unset FAKEGPU_STATE FAKEGPU_DEV CUDA_VISIBLE_DEVICES
export FAKEGPU_CONFIG=$scratch/cards.yaml LD_LIBRARY_PATH=$build/lib/sim
export ASAN_OPTIONS=${ASAN_OPTIONS:-}

for how in dlsym getproc; do
  "$build/bin/gpu-alloc" --via $how --device 2 --expect-total 3000 --expect-granted 2744 >/dev/null ||
    fail "gpu-alloc --via $how: code $?"
done
"$build/bin/gpu-alloc" --device 2 --random-for 2 --processes 4 --threads 2 --step 900 >/dev/null ||
  fail "gpu-alloc --random-for: code $?"
peak=$("$build/bin/hami-sim" state -o json |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["cards"][2]["peak_bytes"])')
[ "$peak" -le $((3000 << 20)) ] || fail "peak of card 2 is $peak"
if "$build/bin/gpu-alloc" --stap 3 2>/dev/null; then fail "gpu-alloc takes an unknown option"; fi

mkfifo "$scratch/ready"
python3 - >"$scratch/ready" <<'PYTHON' &
import ctypes, sys, time
cuda = ctypes.CDLL("libcuda.so.1")
context = ctypes.c_void_p()
assert cuda.cuInit(0) == 0 and cuda.cuDevicePrimaryCtxRetain(ctypes.byref(context), 1) == 0
assert cuda.cuCtxSetCurrent(context) == 0
for _ in range(1000):  # twenty seconds of work on card 1
    assert cuda.cuLaunchKernel(ctypes.c_void_p(20_000_000), 1, 1, 1, 1, 1, 1, 0, None, None, None) == 0
print("launched", flush=True)
time.sleep(60)
PYTHON
holder=$!
grep -q launched "$scratch/ready" || fail "no kernel was launched"
busy=$("$build/bin/hami-sim" busy --for 300ms -o json | python3 -c '
import json, sys
all = json.load(sys.stdin)
card = all["cards"][1]
print(all["window_ns"], all["cards"][0]["busy_ns"], card["busy_ns"], card["processes"][0]["busy_ns"],
      card["containers"][0]["busy_ns"], card["processes"][0]["pid"])')
[ "$busy" = "300000000 0 300000000 300000000 300000000 $holder" ] || fail "hami-sim busy: $busy"
kill -9 "$holder"
wait "$holder" 2>/dev/null || true
holder=
"$build/bin/gpu-alloc" --max 1000 --hold 60 >"$scratch/ready" &
holder=$!
grep -q 'free now' "$scratch/ready" || fail "gpu-alloc --hold said nothing"
used=$("$build/bin/hami-sim" state -o json |
  python3 -c 'import json,sys; print(json.load(sys.stdin)["cards"][0]["used_bytes"] >> 20)')
[ "$used" = 1200 ] || fail "hami-sim state shows $used MiB, expected 1200"

table=$("$NVIDIA_SMI")
for text in 'Driver Version: 535.261.03' 'CUDA Version: 12.2' '1200MiB / 40960MiB' \
  '0MiB /  3000MiB' 'bin/gpu-alloc'; do
  grep -qF "$text" <<<"$table" || fail "nvidia-smi does not show \"$text\": $table"
done
[ "$("$NVIDIA_SMI" -L | wc -l)" = 4 ] || fail "nvidia-smi -L: $("$NVIDIA_SMI" -L)"
apps=$("$NVIDIA_SMI" --query-compute-apps=pid,used_memory --format=csv,noheader)
[ "$apps" = "$holder, 1200 MiB" ] || fail "nvidia-smi --query-compute-apps: $apps"
topology=$("$NVIDIA_SMI" topo -m)  # whole: a closed pipe would end nvidia-smi with a signal
grep -qP 'GPU0\t X \tNV4\tSYS\tSYS' <<<"$topology" || fail "nvidia-smi topo: $topology"
kill -9 "$holder"
wait "$holder" 2>/dev/null || true
holder=
[ "$("$NVIDIA_SMI" -i 0 --query-gpu=memory.used --format=csv,noheader)" = "0 MiB" ] ||
  fail "memory of a killed process is still in use"
"$SIM_PYTHON" - <<'PYTHON' || fail "pynvml"
import pynvml as n
n.nvmlInit()
assert n.nvmlDeviceGetCount() == 4
for i in range(4):
    h = n.nvmlDeviceGetHandleByIndex(i)
    v1, v2 = n.nvmlDeviceGetMemoryInfo(h), n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)
    assert v1.total == v2.total == (40960 if i < 2 else 3000) << 20, v1.total
    assert n.nvmlDeviceGetUUID(h).startswith("GPU-")
    n.nvmlDeviceGetComputeRunningProcesses(h)
    n.nvmlDeviceGetUtilizationRates(h)
n.nvmlShutdown()
PYTHON
echo "programs_test: all as expected"
