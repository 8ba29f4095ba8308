# shellcheck shell=bash
# Control groups: everything that the testbed starts lives below /hami-testbed of every hierarchy,
# components in system/, Pods of node N in nodeN/. So `down` finds every process, shims and containers
# included, even when a half-finished `up` wrote no pid file.

# cgroup_mounts: mount points of all hierarchies, "v1 <dir>" or "v2 <dir>" a line.
cgroup_mounts() {
  awk '$3 == "cgroup" {print "v1", $2} $3 == "cgroup2" {print "v2", $2}' /proc/self/mounts | sort -u
}

# cgroup_unified: true where cgroup2 is the only one (its mount point is /sys/fs/cgroup itself).
cgroup_unified() { [[ $(stat -fc %T /sys/fs/cgroup) == cgroup2fs ]]; }

# cgroup_enable <dir>: hands all controllers of a cgroup2 folder down to its children.
cgroup_enable() {
  local controller controllers
  read -ra controllers <"$1/cgroup.controllers"
  for controller in "${controllers[@]}"; do
    # One by one: a controller that is busy elsewhere must not take the others with it.
    echo "+$controller" 2>/dev/null >"$1/cgroup.subtree_control" || echo "cgroup: no $controller below $1"
  done
}

# cgroup_make <path below the hierarchy>: creates it everywhere, ready for processes.
cgroup_make() {
  local version mount dir part file
  while read -r version mount; do
    dir=$mount
    [[ $version == v2 ]] && cgroup_unified && cgroup_enable "$dir"
    for part in ${1//\// }; do
      mkdir -p "$dir/$part"
      # A v1 cpuset starts empty, and an empty one takes no process.
      for file in cpuset.cpus cpuset.mems; do
        [[ $version == v1 && -e $dir/$part/$file ]] && cat "$dir/$file" >"$dir/$part/$file"
      done
      dir=$dir/$part
      [[ $version == v2 && $dir == "$mount/$CGROUP" ]] && cgroup_unified && cgroup_enable "$dir"
    done
  done < <(cgroup_mounts)
  return 0
}

# cgroup_enter <path>: moves the calling shell there (its children follow).
cgroup_enter() {
  local mount
  while read -r _ mount; do
    [[ ! -d $mount/$1 ]] || echo "$BASHPID" >"$mount/$1/cgroup.procs"
  done < <(cgroup_mounts)
}

# cgroup_pids: every process of ours.
cgroup_pids() {
  local mount
  while read -r _ mount; do
    [[ ! -d $mount/$CGROUP ]] || find "$mount/$CGROUP" -name cgroup.procs -exec cat {} + 2>/dev/null
  done < <(cgroup_mounts) | sort -un
}

# cgroup_kill_all: SIGKILL to all of them until none is left; fails after 20 s.
cgroup_kill_all() {
  local pids deadline=$((SECONDS + 20))
  while pids=$(cgroup_pids) && [[ -n $pids ]]; do
    ((SECONDS < deadline)) || { echo "processes that do not die: $pids"; return 1; }
    # shellcheck disable=SC2086
    kill -KILL $pids 2>/dev/null || true
    sleep 0.1
  done
}

cgroup_remove() {
  local mount left=""
  while read -r _ mount; do
    [[ -d $mount/$CGROUP ]] || continue
    find "$mount/$CGROUP" -depth -type d -exec rmdir {} + 2>/dev/null || true
    [[ ! -d $mount/$CGROUP ]] || left+=" $mount/$CGROUP"
  done < <(cgroup_mounts)
  [[ -z $left ]] || { echo "control groups that cannot be removed:$left"; return 1; }
}
