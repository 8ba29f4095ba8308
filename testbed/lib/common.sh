# shellcheck shell=bash disable=SC2034 # what it sets is read by the files that are sourced after it
# What every testbed command shares: paths, addresses, steps with progress, small checks.
# A command sets TESTBED_ROOT (this folder) and sources this file first.

STATE=${HAMI_TESTBED_DIR:-/var/lib/hami-testbed}
REPO_ROOT=$(cd "$TESTBED_ROOT/.." && pwd)
LOG_DIR=$STATE/log
NS_DIR=$STATE/ns
KUBECONFIG_FILE=$STATE/kubeconfig
MARKER=$STATE/.hami-testbed # only a folder with this file in it is ever removed

# One /16 for everything: nodes in .0.0/24 (host .0.1, node N .0.1N), Pods of node N in .(128+N).0/24.
NET=${HAMI_TESTBED_NET:-10.213}
NODE_CIDR=$NET.0.0/24
HOST_IP=$NET.0.1
POD_CIDR=$NET.128.0/17
SERVICE_CIDR=10.96.0.0/16
API_SERVICE_IP=10.96.0.1
DNS_SERVICE_IP=10.96.0.10
MAX_NODES=9
# Names that the whole machine sees; another state folder (with another HAMI_TESTBED_NET) has others,
# so that two testbeds can run side by side.
if [[ $STATE == /var/lib/hami-testbed ]]; then
  INSTANCE=0
else
  INSTANCE=$(cksum <<<"$STATE") && INSTANCE=${INSTANCE:0:5}
fi
HOST_LINK=hamitb$INSTANCE
MADE_FOLDERS=/var/lib/hami-testbed.folders # mount points made on the host; the last testbed removes them
CGROUP=hami-testbed$INSTANCE

node_ip() { echo "$NET.0.1$1"; }
node_name() { echo "node$1"; }
node_dir() { echo "$STATE/node$1"; }
pod_cidr() { echo "$NET.$((128 + $1)).0/24"; }
API_URL=https://$(node_ip 1):6443

die() {
  echo "$(basename "$0"): $*" >&2
  exit 1
}

# usage_error <text>: for arguments that make no sense.
usage_error() {
  echo "$(basename "$0"): $*" >&2
  exit 2
}

# require_value <option> [value]: dies if the option came without one.
require_value() { [[ -n ${2:-} ]] || usage_error "$1: expected a value (try --help)"; }

require_root() { ((EUID == 0)) || die "must run as root (namespaces, mounts, cgroups)"; }

# require_commands: names the Debian package of each program that is missing.
require_commands() {
  local pair missing=()
  for pair in runc:runc iptables:iptables ip:iproute2 nsenter:util-linux unshare:util-linux \
    openssl:openssl busybox:busybox-static flock:util-linux gcc:gcc; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  [[ -x /usr/lib/cni/bridge ]] || missing+=(containernetworking-plugins)
  ((${#missing[@]} == 0)) || die "missing programs; install: apt-get install ${missing[*]}"
}

# node_numbers: the nodes that this state folder holds, in order.
node_numbers() {
  local n
  for ((n = 1; n <= MAX_NODES; n++)); do [[ -d $(node_dir "$n") ]] && echo "$n"; done
  return 0
}

require_node() {
  [[ $1 =~ ^[1-9]$ && -e $NS_DIR/node$1.net ]] ||
    die "no node '$1' in $STATE (nodes: $(node_numbers | tr '\n' ' ')); start one with testbed/up"
}

# lock_testbed: one up, down or load at a time. Descriptor 9 is closed for everything that lives on.
lock_testbed() {
  mkdir -p "$(dirname "$STATE")"
  exec 9>"$STATE.lock"
  flock -n 9 || { echo "another testbed command is running; waiting for it" && flock 9; }
}

# settings_given: the HAMI_* variables that the user has set, as they stand before a command.
settings_given() {
  local name
  for name in $(compgen -e HAMI_); do printf '%s=%q ' "$name" "${!name}"; done
}

# step <id> <title> <function> [args]: runs the function in a subshell of its own with its output in
# the step log. On failure: the reason, the log, and the command that repeats this step alone.
step() {
  local id=$1 title=$2 start=$SECONDS rc log
  shift 2
  [[ -z ${ONLY_STEP:-} || $ONLY_STEP == "$id" ]] || return 0
  STEPS_RUN=$((${STEPS_RUN:-0} + 1))
  log=$LOG_DIR/step-$id.log
  mkdir -p "$LOG_DIR"
  printf '[%4ds] %-46s' "$SECONDS" "$title"
  set +e
  (
    set -euo pipefail
    "$@"
  ) >"$log" 2>&1
  rc=$?
  set -e
  if ((rc == 0)); then
    printf ' ok  %3d s\n' $((SECONDS - start))
    return 0
  fi
  printf ' FAILED after %d s\n' $((SECONDS - start))
  {
    echo "  reason (end of the log):"
    tail -n 12 "$log" | sed 's/^/    /'
    echo "  log:    $log   (components: $LOG_DIR/<component>.log)"
    echo "  repeat: $(settings_given)${STEP_COMMAND:-$0} --only $id"
  } >&2
  exit 1
}

# wait_for <seconds> <what> <command...>: polls until the command succeeds; prints its last words if not.
wait_for() {
  local limit=$1 what=$2 out
  shift 2
  local deadline=$((SECONDS + limit))
  until out=$("$@" 2>&1); do
    ((SECONDS < deadline)) || { echo "$what: not after $limit s; last answer: $out"; return 1; }
    sleep 0.3
  done
}

# without_proxy: the testbed never leaves this machine, whatever the user's proxy settings are.
without_proxy() {
  unset HTTP_PROXY HTTPS_PROXY ALL_PROXY http_proxy https_proxy all_proxy
}

kubectl_admin() {
  (without_proxy && exec "$PROGRAMS_BIN/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@")
}
