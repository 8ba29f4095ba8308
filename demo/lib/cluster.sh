# shellcheck shell=bash
# Which cluster the demo talks to, and how. Sourced first.

NAMESPACE=hami-system
SAMPLES=hami-demo
DEMO_LABEL=hami.io/demo=made-by-demo
DEMO_LOGS=build/log/demo
DEMO_TOLD=$DEMO_LOGS/told

# Sets OWN_CLUSTER: 1 for the testbed of this machine, 0 for the user's cluster.
choose_cluster() {
  local own file files found=
  OWN_CLUSTER=1
  own=$(realpath -m "$(testbed_kubeconfig)")
  IFS=: read -ra files <<<"${KUBECONFIG:-}"
  for file in "${files[@]}"; do
    [[ -n $file && $(realpath -m "$file") != "$own" ]] || continue
    OWN_CLUSTER=0
    [[ ! -e $file ]] || found=1
  done
  # kubectl leaves out what is not there, and of nothing it makes localhost:8080.
  ((OWN_CLUSTER)) || [[ -n $found ]] || {
    echo "KUBECONFIG=$KUBECONFIG: no such file" >&2
    exit 2
  }
  mkdir -p "$DEMO_TOLD"
}

# One demo at a time in this tree: two would write the same logs and the same Pods.
# Descriptor 8 holds the lock; steps do not inherit it, so that it ends with the demo, however that ends.
lock_demo() {
  exec 8>>"$DEMO_LOGS/lock"
  flock -n 8 || {
    echo "another demo/up or demo/down runs in this tree (process $(cat "$DEMO_LOGS/lock"))" >&2
    exit 1
  }
  echo $$ >"$DEMO_LOGS/lock"
}

testbed_kubeconfig() { echo "${HAMI_TESTBED_DIR:-/var/lib/hami-testbed}/kubeconfig"; }

# program_path <kubectl|helm>: the user's own where the cluster is theirs.
program_path() {
  local name=$1 path
  if ((OWN_CLUSTER)); then
    echo "testbed/$name"
    return
  fi
  path=$(command -v "$name" || true)
  if [[ -z $path ]]; then
    path=$(testbed/programs/build --print-bin)/$name
    [[ -x $path ]] || {
      echo "no $name on PATH; install it, or build it with testbed/programs/build" >&2
      return 1
    }
  fi
  echo "$path"
}
cluster_program() {
  local path
  path=$(program_path "$1") || return
  "$path" "${@:2}"
}
kube() { cluster_program kubectl "$@"; }
helm_() { cluster_program helm "$@"; }

# eventually <seconds> <what> <command...>: until it succeeds; its last words if it never does.
eventually() {
  local limit=$1 what=$2 out deadline
  shift 2
  deadline=$((SECONDS + limit))
  until out=$("$@" 2>&1); do
    if ((SECONDS >= deadline)); then
      echo "$what: not within $limit s; last answer: $out"
      return 1
    fi
    sleep 0.3
  done
}

# tell <step> <text...>: what the user sees when the step is done, and what the summary repeats.
tell() {
  local step=$1
  shift
  printf '%s\n' "$*" >>"$DEMO_TOLD/$step"
}
told() {
  if [[ -s $DEMO_TOLD/$1 && (-z ${STEPS_ONLY:-} || $STEPS_ONLY == "$1") ]]; then
    sed 's/^/      /' "$DEMO_TOLD/$1"
  fi
}
# tell_anew <step>: forgets what an earlier run told.
tell_anew() { : >"$DEMO_TOLD/$1"; : >"$DEMO_TOLD/$1.summary"; }
# sum_up <step> <what> <result>: a line of the closing table.
sum_up() { printf '  %-44s %s\n' "$2" "$3" >>"$DEMO_TOLD/$1.summary"; }

summary() {
  local step
  echo
  echo "What happened:"
  for step in ready share limit spread pending release; do cat "$DEMO_TOLD/$step.summary"; done
  echo
  if ((OWN_CLUSTER)); then
    echo "The cluster is up. Look around:"
    echo "  export KUBECONFIG=$(testbed_kubeconfig)     (or: testbed/kubectl ...)"
  else
    echo "The release hami stays in namespace $NAMESPACE of your cluster. Look around:"
  fi
  echo "  kubectl -n $SAMPLES get pods -o wide"
  echo "  kubectl -n $SAMPLES exec share-a -- nvidia-smi"
  echo "  build/release/bin/hamictl get cards"
  echo "Manifests to copy: demo/samples/*.yaml.  Remove it all: make demo-down"
}
