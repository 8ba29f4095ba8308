# shellcheck shell=bash
# Long-running programs: each has a start script in $STATE/components, a log in $STATE/log and a
# record of its process in $STATE/pids (pid and start time, so that a reused pid is never mistaken).
# Names: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, logkeeper, and per node
# containerd@N, kubelet@N, kube-proxy@N.

LOG_LIMIT_MIB=${HAMI_TESTBED_LOG_MIB:-32}

# process_start <pid>: its start time in clock ticks; empty if there is no such process, or only what
# its parent has not yet collected.
process_start() {
  local stat
  stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
  # Field 22; the name before it may hold anything, so count behind its closing parenthesis.
  awk '$1 != "Z" {print $20}' <<<"${stat##*) }"
}

# component_pid <name>: its pid if it runs; otherwise nothing.
component_pid() {
  local pid started
  [[ -f $STATE/pids/$1 ]] && read -r pid started <"$STATE/pids/$1" || return 0
  [[ $(process_start "$pid") == "$started" ]] && echo "$pid"
  return 0
}

# component_script <name> <node> <program> [args]: writes the start script. The environment is empty
# on purpose: a proxy setting of the user must not get between the API server and a webhook.
component_script() {
  local name=$1 node=$2 file=$STATE/components/$1
  shift 2
  mkdir -p "$STATE/components"
  {
    echo "# Starts $name of the testbed in $STATE."
    printf 'exec nsenter --net=%q --mount=%q -- env -i PATH=%q HOME=/root LANG=C.UTF-8' \
      "$NS_DIR/node$node.net" "$NS_DIR/node$node.mnt" "$PROGRAMS_BIN:$STANDARD_PATH"
    printf ' \\\n  %q' "$@"
    echo
  } >"$file"
}
STANDARD_PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# start_component <name>: nothing if it runs already. Returns once it has been started, not once it
# serves; fails if it is gone within a quarter of a second.
start_component() {
  local name=$1 log=$LOG_DIR/$1.log pid
  [[ -z $(component_pid "$name") ]] || return 0
  [[ -f $STATE/components/$name ]] || { echo "no component '$name' here"; return 1; }
  mkdir -p "$STATE/pids" "$LOG_DIR"
  (
    cgroup_enter "$CGROUP/system"
    exec setsid bash "$STATE/components/$name" </dev/null >>"$log" 2>&1 9>&-
  ) &
  pid=$!
  echo "$pid $(process_start "$pid")" >"$STATE/pids/$name"
  sleep 0.25
  [[ -n $(component_pid "$name") ]] || { echo "$name ended at once:"; tail -n 5 "$log"; return 1; }
}

# stop_component <name> [signal]: waits for its end; SIGKILL after 15 s.
stop_component() {
  local pid deadline=$((SECONDS + 15))
  pid=$(component_pid "$1")
  [[ -n $pid ]] || return 0
  kill "-${2:-TERM}" "$pid" 2>/dev/null || true
  while [[ -n $(component_pid "$1") ]]; do
    ((SECONDS < deadline)) || kill -KILL "$pid" 2>/dev/null || true
    sleep 0.1
  done
}

component_names() { (cd "$STATE/components" 2>/dev/null && ls) || true; }

# logkeeper: keeps every component log below its limit. Logs are appended to, so that cutting one
# from the outside is safe; what is cut goes to <log>.1.
logkeeper_component() {
  component_script logkeeper 1 bash -c "
    while sleep 20; do
      for log in \"$LOG_DIR\"/*.log; do
        [ \"\$(stat -c %s \"\$log\" 2>/dev/null || echo 0)\" -gt $((LOG_LIMIT_MIB << 20)) ] || continue
        cp \"\$log\" \"\$log.1\" && : >\"\$log\"
      done
    done"
  start_component logkeeper
}
