#!/bin/bash
# Which cluster the demo takes for its own, by what KUBECONFIG names.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export HAMI_TESTBED_DIR=$scratch/testbed
# shellcheck source=../demo/lib/cluster.sh
. demo/lib/cluster.sh
DEMO_TOLD=$scratch/told
failed=0
expect() { # <own|theirs|refused> [KUBECONFIG]
  local got
  got=$(export KUBECONFIG=${2:-}
    choose_cluster 2>/dev/null
    ((OWN_CLUSTER)) && echo own || echo theirs) || got=refused
  [[ $got == "$1" ]] || { echo "demo_cluster_test: KUBECONFIG=${2:-}: $got, expected $1"; failed=1; }
}
mkdir "$scratch/real"
touch "$scratch/theirs"
ln -s "$scratch/testbed/kubeconfig" "$scratch/link"
expect own
expect own "$scratch/testbed/kubeconfig" # also before the cluster is there
expect own "$scratch//real/../testbed/kubeconfig"
expect own "$scratch/link"
expect theirs "$scratch/theirs"
expect theirs "$scratch/none:$scratch/theirs"
expect theirs "$scratch/theirs:$scratch/testbed/kubeconfig"
expect refused "$scratch/none"
expect refused "$scratch/none:$scratch/neither"
exit $failed
