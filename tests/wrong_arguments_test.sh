#!/bin/bash
# Wrong arguments are exit code 2 and a word on standard error, in every program and script of ours.
# usage: wrong_arguments_test.sh PROGRAM...
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Whoever looks at its words too late finds nothing to harm.
export HAMI_IMAGES_DIR=$scratch/images HAMI_TESTBED_DIR=$scratch/testbed HAMI_CACHE=$scratch/cache
export IMAGE_REGISTRY=registry.invalid KUBECONFIG=$scratch/none

failed=0
refuses() {
  local code=0
  timeout 60 "$@" </dev/null >"$scratch/out" 2>"$scratch/err" || code=$?
  if [[ $code != 2 || ! -s $scratch/err ]]; then
    echo "$*: exit code $code, expected 2 and a reason; said: $(head -n 3 "$scratch/err")"
    failed=1
  fi
}

refuses_with() {  # TEXT COMMAND...: the reason holds TEXT
  local text=$1
  shift
  refuses "$@"
  if ! grep -qF -- "$text" "$scratch/err"; then
    echo "$*: expected \"$text\"; said: $(head -n 3 "$scratch/err")"
    failed=1
  fi
}

for program in "$@"; do refuses "$program" --no-such-option; done
for script in images/{build,push} demo/{up,down} testbed/{driver-root,restart} \
  tools/{bench,check_threads,fetch-programs,fuzz,install-deps,soak,test}; do
  refuses "$script" --no-such-option
done
# KUBECONFIG names no file: said before anything is built.
for script in demo/{up,down}; do refuses_with "KUBECONFIG=$KUBECONFIG: no such file" "$script"; done
refuses images/build nosuchimage
refuses images/push nosuchimage
refuses images/push --insecure
for program in "$@"; do
  case ${program##*/} in
    gpu-alloc)
      refuses "$program" --step 0
      refuses "$program" --via nothing ;;
    hami-sim)
      refuses "$program"
      refuses "$program" frobnicate
      refuses_with "expected validate FILE or show" "$program" cards
      refuses_with "FILE is missing" "$program" cards validate
      refuses_with "expected xid CODE --card N" "$program" inject
      refuses_with "CODE is missing" "$program" inject xid
      refuses_with "--card is missing" "$program" inject xid 79
      refuses_with "unexpected word now" "$program" state now ;;
    hamictl)
      refuses "$program"
      refuses_with "expected [namespace/]name" "$program" explain pod /x
      refuses_with "expected no --namespace" "$program" get cards -n u ;;
    hami-scheduler) refuses_with "--device-config-file is required" "$program" ;;
    hami-device-plugin)
      refuses_with "--node-name" env -u NODE_NAME -u NodeName "$program"
      refuses_with "--hook-path" "$program" --node-name n --hook-path relative ;;
  esac
done
exit $failed
