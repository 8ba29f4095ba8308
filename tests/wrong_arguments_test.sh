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

for program in "$@"; do refuses "$program" --no-such-option; done
for script in images/{build,push} demo/{up,down} testbed/{driver-root,restart} \
  tools/{bench,fetch-programs,fuzz,install-deps,soak,test}; do
  refuses "$script" --no-such-option
done
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
      refuses "$program" cards validate ;;
    hamictl) refuses "$program" ;;
  esac
done
exit $failed
