# shellcheck shell=bash
# One node: containerd, kubelet and kube-proxy in the node's namespaces, on its own folders.

CNI_BIN=/usr/lib/cni
PAUSE_IMAGE=hami.local/pause:1

write_containerd_config() {
  local dir=$1
  cat >"$dir/containerd.toml" <<CONFIG
version = 3
root = "$dir/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
  address = "/run/containerd/containerd.sock"

[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "$PAUSE_IMAGE"

[plugins."io.containerd.cri.v1.runtime"]
  enable_cdi = true
  cdi_spec_dirs = ["/etc/cdi", "/var/run/cdi"]
  # Without CAP_SYS_RESOURCE nothing may lower an oom score; the containers' start would fail.
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["$CNI_BIN"]
    conf_dir = "$dir/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = "$(command -v runc)"
      SystemdCgroup = false
CONFIG
}

write_cni_config() {
  local dir=$1 n=$2
  mkdir -p "$dir/cni"
  cat >"$dir/cni/10-testbed.conflist" <<CONFIG
{"cniVersion": "1.0.0", "name": "testbed", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipMasq": true,
   "ipam": {"type": "host-local", "dataDir": "$dir/cni-data",
            "ranges": [[{"subnet": "$(pod_cidr "$n")"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
CONFIG
}

write_kubelet_config() {
  local dir=$1 n=$2 name files
  name=$(node_name "$n")
  files=$(ulimit -Hn)
  [[ $files =~ ^[0-9]+$ ]] || files=1000000
  echo "nameserver 127.0.0.1" >"$dir/resolv.conf"
  cat >"$dir/kubelet.yaml" <<CONFIG
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: false}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: AlwaysAllow}
tlsCertFile: $PKI/kubelet-$name.crt
tlsPrivateKeyFile: $PKI/kubelet-$name.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP/$name
failCgroupV1: false
failSwapOn: false
localStorageCapacityIsolation: false
evictionHard: {memory.available: 100Mi}
imageGCHighThresholdPercent: 100
clusterDNS: ["$DNS_SERVICE_IP"]
clusterDomain: cluster.local
resolvConf: $dir/resolv.conf
volumePluginDir: $dir/volume-plugins
containerLogMaxSize: 4Mi
containerLogMaxFiles: 2
maxPods: 200
crashLoopBackOff: {maxContainerRestartPeriod: ${HAMI_TESTBED_CRASH_BACKOFF:-300s}}
maxOpenFiles: $((files < 1000000 ? files : 1000000))
oomScoreAdj: 0
featureGates: {${FEATURE_GATES//=/: }}
CONFIG
}

# node_files <n>
node_files() {
  local dir
  dir=$(node_dir "$1")
  cgroup_make "$CGROUP/$(node_name "$1")"
  node_certificates "$1"
  write_containerd_config "$dir"
  write_cni_config "$dir" "$1"
  write_kubelet_config "$dir" "$1"
}

# node_ctr <n> [args]: ctr on the node's containerd, in the name space that kubelet uses.
node_ctr() {
  in_node "$1" "$PROGRAMS_BIN/ctr" --address /run/containerd/containerd.sock --namespace k8s.io "${@:2}"
}

# node_load <n> <tar>: imports a docker archive, unless it is what the node got last under that name.
node_load() {
  local n=$1 tar=$2 sum name record
  sum=$(sha256sum "$tar") && sum=${sum%% *}
  name=$(tar -xOf "$tar" --wildcards '*manifest.json' | grep -o '"RepoTags":\[[^]]*\]' | tr -dc 'A-Za-z0-9.\n-')
  [[ -n $name ]] || { echo "$tar is not a docker archive with a name in it"; return 1; }
  record=$(node_dir "$n")/loaded
  mkdir -p "$record"
  [[ $(cat "$record/$name" 2>/dev/null) != "$sum" ]] || return 0
  node_ctr "$n" images import --local --digests=false - <"$tar" && echo "$sum" >"$record/$name"
}

# start_containerd <n> <pause image archive>
start_containerd() {
  component_script "containerd@$1" "$1" "$PROGRAMS_BIN/containerd" --config "$(node_dir "$1")/containerd.toml"
  start_component "containerd@$1"
  wait_for 30 "containerd of node $1" node_ctr "$1" version
  node_load "$1" "$2"
}

# start_kubelet <n>: and kube-proxy
start_kubelet() {
  local dir name
  dir=$(node_dir "$1") name=$(node_name "$1")
  component_script "kubelet@$1" "$1" "$PROGRAMS_BIN/kubelet" --config "$dir/kubelet.yaml" \
    --kubeconfig "$PKI/kubelet-$name.kubeconfig" --hostname-override "$name" \
    --node-ip "$(node_ip "$1")" --root-dir /var/lib/kubelet --cert-dir "$dir/kubelet-pki"
  start_component "kubelet@$1"
  component_script "kube-proxy@$1" "$1" "$PROGRAMS_BIN/kube-proxy" \
    --kubeconfig "$PKI/kube-proxy.kubeconfig" --hostname-override "$name" --proxy-mode iptables \
    --cluster-cidr "$POD_CIDR" --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
    --conntrack-tcp-timeout-close-wait 0 --oom-score-adj 0 \
    --metrics-bind-address 127.0.0.1:10249 --healthz-bind-address 127.0.0.1:10256
  start_component "kube-proxy@$1"
}

node_ready() {
  wait_for 90 "node $1 registered" kubectl_admin get node "$(node_name "$1")"
  kubectl_admin wait --for=condition=Ready "node/$(node_name "$1")" --timeout=90s
}
