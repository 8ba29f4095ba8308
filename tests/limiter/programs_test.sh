#!/bin/bash
# What programs of others show in a container: the real nvidia-smi, pynvml, nvitop and gpustat (tools/fetch-programs)
# see its slice of the cards and its own processes, and nothing of a neighbour on the same card.
set -euo pipefail
build=$1
scratch=$(mktemp -d)
children=()
cleanup() {
  for child in "${children[@]}"; do kill -9 "$child" 2>/dev/null || true; done
  rm -rf "$scratch"
}
trap cleanup EXIT
fail() {
  echo "programs_test: $*" >&2
  exit 1
}
programs=$("$(dirname "$0")/../../tools/fetch-programs") || fail "cannot fetch the programs"
eval "$programs"
bin=${SIM_PYTHON%/*}
cat >"$scratch/cards.yaml" <<'YAML'
driver: 535.261.03
cuda: 12.2
cards:
  - {model: NVIDIA A100-SXM4-40GB, count: 2, context_mib: 200}
YAML
unset FAKEGPU_STATE FAKEGPU_DEV CUDA_VISIBLE_DEVICES HAMI_NVML_PROCESSES
export FAKEGPU_CONFIG=$scratch/cards.yaml LD_LIBRARY_PATH=$build/lib/sim ASAN_OPTIONS=${ASAN_OPTIONS:-} TERM=dumb
export CUDA_DEVICE_MEMORY_LIMIT_0=3000m CUDA_DEVICE_MEMORY_LIMIT_1=1000m

# become <name> <command...>: as in a container with a region of its own; the card is everybody's.
become() {
  exec env "CUDA_DEVICE_MEMORY_SHARED_CACHE=$scratch/$1.cache" "LD_PRELOAD=$build/lib/libvgpu.so" "${@:2}"
}
in_container() { (become "$@"); }
# hold <name> <MiB>: a process that keeps so much of card 0; its pid is in $held.
hold() {
  rm -f "$scratch/ready"
  mkfifo "$scratch/ready"
  become "$1" "$build/bin/gpu-alloc" --max "$2" --hold 600 >"$scratch/ready" &
  held=$!
  children+=("$held")
  grep -q 'free now' "$scratch/ready" || fail "gpu-alloc --hold in $1 said nothing"
}
# end <pid>: kill -9.
end() {
  kill -9 "$1"
  wait "$1" 2>/dev/null || true
}
# same <what> <actual> <expected>
same() { [ "$2" = "$3" ] || fail "$1 shows \"$2\", expected \"$3\""; }
smi() { in_container own "$NVIDIA_SMI" "$@"; }

in_container own "$build/bin/gpu-alloc" --expect-total 3000 --expect-granted 2800 >"$scratch/log" 2>&1 ||
  fail "gpu-alloc: code $?: $(cat "$scratch/log")"
hold own 1000
own=$held
hold neighbour 500
neighbour=$held

table=$(smi)
for text in '1200MiB /  3000MiB' '0MiB /  1000MiB' " $own " 'bin/gpu-alloc'; do
  grep -qF "$text" <<<"$table" || fail "nvidia-smi does not show \"$text\": $table"
done
for text in 40960 " $neighbour " 700MiB; do
  if grep -qF "$text" <<<"$table"; then fail "nvidia-smi shows \"$text\": $table"; fi
done
same "nvidia-smi -L" "$(smi -L)" "$("$NVIDIA_SMI" -L)"
same "nvidia-smi --query-gpu" \
  "$(smi --query-gpu=memory.total,memory.used,memory.free --format=csv,noheader)" \
  "3000 MiB, 1200 MiB, 1800 MiB
1000 MiB, 0 MiB, 1000 MiB"
same "nvidia-smi --query-compute-apps" \
  "$(smi --query-compute-apps=pid,used_memory,name --format=csv,noheader)" \
  "$own, 1200 MiB, $build/bin/gpu-alloc"
grep -q "Total *: 3000 MiB" <<<"$(smi -q -d MEMORY)" || fail "nvidia-smi -q -d MEMORY: $(smi -q -d MEMORY)"
same "nvidia-smi under HAMI_NVML_PROCESSES=raw" \
  "$(HAMI_NVML_PROCESSES=raw smi --query-compute-apps=pid --format=csv,noheader | sort -n)" \
  "$(printf '%s\n' "$own" "$neighbour" | sort -n)"

in_container own "$SIM_PYTHON" - "$own" <<'PYTHON' || fail "pynvml"
import pynvml as n, sys
own = int(sys.argv[1])
n.nvmlInit()
h = n.nvmlDeviceGetHandleByIndex(0)
v1, v2 = n.nvmlDeviceGetMemoryInfo(h), n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)
for m in (v1, v2):
    assert (m.total >> 20, m.used >> 20, m.free >> 20) == (3000, 1200, 1800), (m.total, m.used)
for ask in (n.nvmlDeviceGetComputeRunningProcesses_v2, n.nvmlDeviceGetComputeRunningProcesses_v3):
    assert [(p.pid, p.usedGpuMemory >> 20) for p in ask(h)] == [(own, 1200)], ask(h)
assert n.nvmlDeviceGetGraphicsRunningProcesses(h) == []
assert n.nvmlSystemGetProcessName(own).endswith("gpu-alloc")
n.nvmlDeviceGetUtilizationRates(h)
n.nvmlShutdown()
PYTHON
in_container own "$SIM_PYTHON" - "$own" <<'PYTHON' || fail "nvitop's interface"
import nvitop, sys
card = nvitop.Device(0)
assert (card.memory_total() >> 20, card.memory_used() >> 20) == (3000, 1200), card.memory_used_human()
assert {pid: p.gpu_memory() >> 20 for pid, p in card.processes().items()} == {int(sys.argv[1]): 1200}
PYTHON
shown=$(in_container own "$bin/nvitop" -1 --ascii --colorful 2>&1) || fail "nvitop: $shown"
grep -q '1200MiB / 3000MiB' <<<"$shown" || fail "nvitop shows: $shown"
grep -qE "^. +0 +$own C .* 1200MiB" <<<"$shown" || fail "nvitop shows: $shown"
if grep -qE "^. +0 +$neighbour " <<<"$shown"; then fail "nvitop shows the neighbour: $shown"; fi
shown=$(in_container own "$bin/gpustat" --json) || fail "gpustat: $shown"
same gpustat "$(jq -c '.gpus[0] | [."memory.used", ."memory.total", [.processes[] | [.pid, .gpu_memory_usage]]]' \
  <<<"$shown")" "[1200,3000,[[$own,1200]]]"

# shows <region> <limit> <MiB total> <used> <free>: nvidia-smi and pynvml under a limit of another relation to
# usage and card.
shows() {
  export CUDA_DEVICE_MEMORY_LIMIT_0=$2
  same "nvidia-smi under a limit of \"$2\"" "$(in_container "$1" "$NVIDIA_SMI" -i 0 \
    --query-gpu=memory.total,memory.used,memory.free --format=csv,noheader,nounits)" "$3, $4, $5"
  same "pynvml under a limit of \"$2\"" "$(in_container "$1" "$SIM_PYTHON" -c '
import pynvml as n
n.nvmlInit()
h = n.nvmlDeviceGetHandleByIndex(0)
v1, v2 = n.nvmlDeviceGetMemoryInfo(h), n.nvmlDeviceGetMemoryInfo(h, version=n.nvmlMemory_v2)
assert v2.total == v2.reserved + v2.used + v2.free, v2
print(*(x >> 20 for m in (v1, v2) for x in (m.total, m.used, m.free)))')" "$3 $4 $5 $3 $4 $5"
  export CUDA_DEVICE_MEMORY_LIMIT_0=3000m
}
shows own 1200m 1200 1200 0
shows own 500m 500 500 0
shows own 100m 100 100 0 # less than a context
shows huge 900g 40960 0 40960
IFS=", " read -r total used free < <("$NVIDIA_SMI" -i 0 --query-gpu=memory.total,memory.used,memory.free \
  --format=csv,noheader,nounits)
shows unlimited "" "$total" "$used" "$free"

# Somebody who watches for long sees the memory of a killed process go, though nobody starts or allocates.
mkfifo "$scratch/watch"
become own "$SIM_PYTHON" -u - >"$scratch/watch" <<'PYTHON' &
import nvitop, time
card, until = nvitop.Device(0), time.monotonic() + 60
print(card.memory_used() >> 20)
while card.memory_used() and time.monotonic() < until:
    pass
print(card.memory_used() >> 20, len(card.processes()))
PYTHON
children+=($!)
exec 7<"$scratch/watch"
read -r before <&7
end "$own"
read -r after <&7
same "a watcher before the kill" "$before" 1200
same "a watcher after the kill" "$after" "0 0"
same "nvidia-smi after the kill" "$(smi --query-compute-apps=pid --format=csv,noheader)" ""

# As in a container: pids of its own, which no NVML of the host knows.
if unshare --pid --fork --mount-proc true 2>/dev/null; then
  export build NVIDIA_SMI
  # shellcheck disable=SC2016 # for the inner shell
  shown=$(in_container pids unshare --pid --fork --mount-proc bash -c '
    "$build/bin/gpu-alloc" --max 300 --hold 600 > >(cat >/dev/null) &
    until [[ $("$NVIDIA_SMI" -i 0 --query-gpu=memory.used --format=csv,noheader) == "500 MiB" ]]; do :; done
    "$NVIDIA_SMI" --query-compute-apps=pid,used_memory --format=csv,noheader
    echo "$!, 500 MiB"
    kill -9 $!')
  same "nvidia-smi in a pid namespace" "$(head -n 1 <<<"$shown")" "$(tail -n 1 <<<"$shown")"
else
  echo "no right to make a pid namespace: not tried"
fi
end "$neighbour"
echo "programs_test: all as expected"
