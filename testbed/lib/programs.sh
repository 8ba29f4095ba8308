# shellcheck shell=bash disable=SC2034 # programs/build reads CRANE_VERSION
# Which programs the testbed runs, their versions (read from the go.mod files, the one home of that
# fact) and where they lie once built. Sourced by programs/build and by every testbed command.

HAMI_CACHE=${HAMI_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/hami}

# pinned_version <module folder> <module path>: the version that the module's go.mod requires.
pinned_version() {
  awk -v m="$2" '$1 == "require" && $2 == m {print $3; exit} $1 == m && $2 ~ /^v/ {print $2; exit}' \
    "$TESTBED_ROOT/programs/$1/go.mod"
}

KUBERNETES_VERSION=$(pinned_version kubernetes k8s.io/kubernetes)
ETCD_VERSION=$(pinned_version etcd go.etcd.io/etcd/server/v3)
CONTAINERD_VERSION=$(pinned_version containerd github.com/containerd/containerd/v2)
CRANE_VERSION=$(pinned_version crane github.com/google/go-containerregistry)
HELM_VERSION=$(pinned_version helm helm.sh/helm/v3)

PROGRAMS_KUBERNETES=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
PROGRAMS_CONTAINERD=(containerd containerd-shim-runc-v2 ctr)

PROGRAMS_DIR=$HAMI_CACHE/testbed/k8s-${KUBERNETES_VERSION#v}_etcd-${ETCD_VERSION#v}
PROGRAMS_DIR+=_containerd-${CONTAINERD_VERSION#v}_helm-${HELM_VERSION#v}
PROGRAMS_BIN=$PROGRAMS_DIR/bin

# reported_version <program>: what the built program says of itself, as vX.Y.Z; empty if it cannot.
reported_version() {
  local out
  case $1 in
    kubectl) out=$("$PROGRAMS_BIN/kubectl" version --client 2>/dev/null | head -n 1) ;;
    containerd-shim-runc-v2) out=$("$PROGRAMS_BIN/$1" -v 2>/dev/null | grep Version) ;;
    crane) out=$("$PROGRAMS_BIN/crane" version 2>/dev/null) ;;
    helm) out=$("$PROGRAMS_BIN/helm" version --short 2>/dev/null) ;;
    *) out=$("$PROGRAMS_BIN/$1" --version 2>/dev/null) ;;
  esac
  grep -oE 'v?[0-9]+\.[0-9]+\.[0-9]+' <<<"$out" | head -n 1 | sed 's/^v*/v/'
}

# wanted_version <program>
wanted_version() {
  case $1 in
    etcd) echo "$ETCD_VERSION" ;;
    containerd | containerd-shim-runc-v2 | ctr) echo "$CONTAINERD_VERSION" ;;
    helm) echo "$HELM_VERSION" ;;
    *) echo "$KUBERNETES_VERSION" ;;
  esac
}

# missing_programs: the names of the programs that are not there in the pinned version, one a line.
missing_programs() {
  local program
  for program in etcd "${PROGRAMS_CONTAINERD[@]}" "${PROGRAMS_KUBERNETES[@]}" helm; do
    [[ -x $PROGRAMS_BIN/$program && $(reported_version "$program") == "$(wanted_version "$program")" ]] ||
      echo "$program"
  done
}
