# shellcheck shell=bash
# Network and mount namespaces: a switch (a bridge in a namespace of its own, so that no firewall of
# the host sees the traffic between nodes), one veth to the host, one network and one mount namespace
# per node. Namespaces are kept by files in $NS_DIR.

# Folders that kubelet, containerd, CNI and HAMi use by fixed names: each node has its own.
# Relative to the node's folder : where its processes see it.
NODE_BINDS=(
  run:/run
  tmp:/tmp
  kubelet:/var/lib/kubelet
  cni-cache:/var/lib/cni
  pod-logs:/var/log/pods
  container-logs:/var/log/containers
  vgpu:/usr/local/vgpu
)

# shellcheck disable=SC2153 # NS_DIR comes from common.sh
in_net() { nsenter --net="$NS_DIR/$1.net" -- "${@:2}"; }

# in_node <n> <command>: runs it in the node's namespaces.
in_node() { nsenter --net="$NS_DIR/node$1.net" --mount="$NS_DIR/node$1.mnt" -- "${@:2}"; }

namespaces_folder() {
  mkdir -p "$NS_DIR"
  mountpoint -q "$NS_DIR" && return 0
  mount --bind "$NS_DIR" "$NS_DIR"
  mount --make-private "$NS_DIR" # a mount namespace can be kept only by a private mount
}

make_net_namespace() {
  [[ -e $NS_DIR/$1.net ]] && in_net "$1" true 2>/dev/null && return 0
  touch "$NS_DIR/$1.net"
  unshare --net="$NS_DIR/$1.net" true
  in_net "$1" ip link set lo up
}

network_switch() {
  namespaces_folder
  local foreign
  foreign=$(ip -4 route show | awk -v net="$NET." 'index($1, net) == 1' | grep -v " dev $HOST_LINK" || true)
  [[ -z $foreign ]] || {
    echo "this machine already has a route into $NET.0.0/16: $foreign; set HAMI_TESTBED_NET to a free one (such as 10.87)"
    return 1
  }
  make_net_namespace switch
  if ! in_net switch ip link show br0 >/dev/null 2>&1; then
    in_net switch ip link add br0 type bridge
    in_net switch ip link set br0 up
  fi
  if ! ip link show "$HOST_LINK" >/dev/null 2>&1; then
    ip link add "$HOST_LINK" type veth peer name "${HOST_LINK}p"
    ip link set "${HOST_LINK}p" netns "$NS_DIR/switch.net"
  fi
  in_net switch ip link set "${HOST_LINK}p" master br0 up
  ip addr replace "$HOST_IP/24" dev "$HOST_LINK"
  ip link set "$HOST_LINK" up
}

# node_network <n>: eth0 with the node's address, the way to Services and to the other nodes' Pods.
node_network() {
  local n=$1 other
  make_net_namespace "node$n"
  if ! in_net "node$n" ip link show eth0 >/dev/null 2>&1; then
    in_net switch ip link delete "node$n" 2>/dev/null || true
    in_net switch ip link add "node$n" type veth peer name eth0
    in_net switch ip link set eth0 netns "$NS_DIR/node$n.net"
  fi
  in_net switch ip link set "node$n" master br0 up
  in_net "node$n" ip addr replace "$(node_ip "$n")/24" dev eth0
  in_net "node$n" ip link set eth0 up
  # No default route: nothing leaves this machine, and what tries fails at once instead of hanging.
  # Service addresses need some route, or the kernel refuses them before kube-proxy's rules see them.
  in_net "node$n" ip route replace "$SERVICE_CIDR" dev eth0
  in_net "node$n" sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
  for other in $(node_numbers); do
    [[ $other == "$n" ]] && continue
    in_net "node$n" ip route replace "$(pod_cidr "$other")" via "$(node_ip "$other")"
    [[ ! -e $NS_DIR/node$other.net ]] ||
      in_net "node$other" ip route replace "$(pod_cidr "$n")" via "$(node_ip "$n")"
  done
  ip route replace "$(pod_cidr "$n")" via "$(node_ip "$n")" dev "$HOST_LINK"
}

# make_mount_point <dir>: creates it and its parents on the host, remembering what `down` takes away.
make_mount_point() {
  [[ -d $1 ]] && return 0
  make_mount_point "$(dirname "$1")"
  mkdir "$1"
  echo "$1" >>"$MADE_FOLDERS"
}

# node_mounts <n>: the node's mount namespace with its own folders over the fixed names.
node_mounts() {
  local n=$1 pair dir
  dir=$(node_dir "$n")
  [[ -e $NS_DIR/node$n.mnt ]] && in_node "$n" true 2>/dev/null && return 0
  for pair in "${NODE_BINDS[@]}"; do
    mkdir -p "$dir/${pair%%:*}"
    make_mount_point "${pair##*:}"
  done
  mkdir -p "$dir/run/lock" "$dir/run/cdi" "$dir/run/netns"
  chmod 1777 "$dir/tmp" "$dir/run/lock"
  touch "$NS_DIR/node$n.mnt"
  unshare --mount="$NS_DIR/node$n.mnt" --propagation private -- \
    bash -euc "$(declare -f bind_node_folders); bind_node_folders \"\$@\"" \
    bash "$NS_DIR" "$dir" "$STATE:$REPO_ROOT:$HAMI_CACHE" "${NODE_BINDS[@]}"
}

# Runs inside the new mount namespace: <ns dir> <node dir> <dirs to keep in sight> <binds...>
bind_node_folders() {
  local ns_dir=$1 dir=$2 pair kept
  local -a keep
  # What lies below /tmp or /run and is needed (state, tree, cache) stays in sight.
  IFS=: read -ra keep <<<"$3"
  shift 3
  umount -R -l "$ns_dir" # or this namespace would keep the others alive
  mount --make-rshared /
  for pair in "$@"; do
    for kept in "${keep[@]}"; do
      [[ $kept == "${pair##*:}"/* && -d $kept ]] || continue
      mkdir -p "$dir/${pair%%:*}/${kept#"${pair##*:}"/}"
      mount --rbind "$kept" "$dir/${pair%%:*}/${kept#"${pair##*:}"/}"
    done
  done
  for pair in "$@"; do
    mount --rbind "$dir/${pair%%:*}" "${pair##*:}"
    mount --make-rshared "${pair##*:}"
  done
}

other_testbed() {
  local mount other
  while read -r _ mount; do
    for other in "$mount"/hami-testbed*; do
      [[ ! -d $other || $other == "$mount/$CGROUP" ]] || return 0
    done
  done < <(cgroup_mounts)
  return 1
}

namespaces_remove() {
  local file
  ip link delete "$HOST_LINK" 2>/dev/null || true
  if [[ -d $NS_DIR ]]; then
    for file in "$NS_DIR"/*; do
      while mountpoint -q "$file" 2>/dev/null || [[ $(stat -fc %T "$file" 2>/dev/null) == nsfs ]]; do
        umount "$file" || umount -l "$file" || break
      done
    done
    while mountpoint -q "$NS_DIR"; do umount -R "$NS_DIR" || umount -R -l "$NS_DIR" || break; done
  fi
  # Removing a folder takes away what other mount namespaces have mounted on it: not while another
  # testbed runs.
  if [[ -f $MADE_FOLDERS ]] && ! other_testbed; then
    tac "$MADE_FOLDERS" | while read -r file; do rmdir "$file" 2>/dev/null || true; done
    rm -f "$MADE_FOLDERS"
  fi
}
