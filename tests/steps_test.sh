#!/bin/bash
# Steps with progress (tools/lib/steps.sh), as somebody sees them who kills them or lets one fail.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
step_pid=
trap 'kill $step_pid 2>/dev/null || true; rm -rf "$scratch"' EXIT
fail() {
  echo "steps_test: $*" >&2
  exit 1
}
cat >"$scratch/program" <<'SH'
set -euo pipefail
. tools/lib/steps.sh
exec 8>>"$1/lock"
flock -n 8
steps_begin "a program" "$1/logs" "a/program --only"
step waits "for ever" bash -c 'echo $$ >"$0/started"; exec sleep infinity' "$1"
SH

# What is killed without a word leaves its lock free and no heartbeat, though its step goes on. Whoever still
# holds the program's output is its heartbeat.
mkfifo "$scratch/said"
bash "$scratch/program" "$scratch" >"$scratch/said" &
program=$!
exec 5<"$scratch/said"
for ((i = 0; i < 300; i++)); do [[ -s $scratch/started ]] && break; sleep 0.1; done
step_pid=$(cat "$scratch/started")
kill -KILL "$program"
wait "$program" 2>/dev/null || true
flock -w 20 "$scratch/lock" true || fail "the lock outlives its program"
timeout 20 cat <&5 >"$scratch/words" || fail "the heartbeat outlives its program"
kill -0 "$step_pid" || fail "the step has ended: this proves nothing"

# Ctrl-C ends it also when the step's program does not die of it.
cat >"$scratch/stubborn" <<'SH'
set -euo pipefail
. tools/lib/steps.sh
steps_begin "a program" "$1/logs" "a/program --only"
step waits "for a file" bash -c 'touch "$0/waits"; until [[ -e $0/go ]]; do sleep 0.1; done' "$1"
step next "never" touch "$1/next"
SH
env --default-signal=INT bash "$scratch/stubborn" "$scratch" >"$scratch/words" &
program=$!
until [[ -e $scratch/waits ]]; do sleep 0.1; done
kill -INT "$program"
touch "$scratch/go"
code=0
wait "$program" || code=$?
[[ $code == 130 && ! -e $scratch/next ]] || fail "Ctrl-C: status $code, expected 130: $(cat "$scratch/words")"

# A failed step is repeated with the settings that it had.
repeat() { # <repeating command>
  HAMI_TESTBED_DIR="/a b" DEMO_VALUES=v.yaml KUBECONFIG=/k IMAGE_REGISTRY=r:5 bash -c '
    . tools/lib/steps.sh; steps_begin "a program" "$0/logs" "$1"; step fails "at once" false' "$scratch" "$1" |
    sed -n 's/^  repeat: //p'
}
settings='DEMO_VALUES=v.yaml HAMI_TESTBED_DIR=/a\ b IMAGE_REGISTRY=r:5 KUBECONFIG=/k'
unset "${!HAMI_@}"
for command in "a/program --only" a/program; do
  said=$(repeat "$command") || true
  expected="$settings $command"
  [[ $command != *--only ]] || expected+=" fails"
  [[ $said == "$expected" ]] || fail "to repeat: $said; expected $expected"
done
echo "steps_test: all as expected"
