# shellcheck shell=bash
# The control plane: in node 1's namespaces, so that the API server reaches Services (webhooks)
# through that node's kube-proxy. Why each setting: README.md.

FEATURE_GATES=DRAConsumableCapacity=true,DRAPartitionableDevices=true,DRAExtendedResource=true

start_etcd() {
  component_script etcd 1 "$PROGRAMS_BIN/etcd" --name testbed --data-dir "$STATE/etcd" \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 \
    --initial-cluster testbed=http://127.0.0.1:2380 --unsafe-no-fsync --log-level warn \
    --quota-backend-bytes 8589934592
  start_component etcd
}

start_apiserver() {
  component_script kube-apiserver 1 "$PROGRAMS_BIN/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 --secure-port=6443 --advertise-address="$(node_ip 1)" \
    --service-cluster-ip-range="$SERVICE_CIDR" --allow-privileged=true \
    --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --client-ca-file="$PKI/ca.crt" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --kubelet-client-certificate="$PKI/apiserver-kubelet.crt" \
    --kubelet-client-key="$PKI/apiserver-kubelet.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc.cluster.local \
    --service-account-key-file="$PKI/service-account.key" \
    --service-account-signing-key-file="$PKI/service-account.key" \
    --feature-gates="$FEATURE_GATES"
  start_component kube-apiserver
}

apiserver_ready() {
  wait_for 90 "API server ready" kubectl_admin get --raw /readyz
}

# start_controllers <with or without node life cycle: 1 or 0>
start_controllers() {
  local controllers='*,-nodeipam'
  # Node objects without a kubelet have no heartbeat; this controller would taint and evict them.
  (($1)) || controllers+=,-node-lifecycle-controller
  component_script kube-controller-manager 1 "$PROGRAMS_BIN/kube-controller-manager" \
    --kubeconfig="$PKI/kube-controller-manager.kubeconfig" --controllers="$controllers" \
    --leader-elect=false --bind-address=127.0.0.1 --use-service-account-credentials=true \
    --service-account-private-key-file="$PKI/service-account.key" --root-ca-file="$PKI/ca.crt" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --cluster-cidr="$POD_CIDR" --feature-gates="$FEATURE_GATES"
  start_component kube-controller-manager
  component_script kube-scheduler 1 "$PROGRAMS_BIN/kube-scheduler" \
    --kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --authentication-kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --authorization-kubeconfig="$PKI/kube-scheduler.kubeconfig" \
    --leader-elect=false --bind-address=127.0.0.1 --feature-gates="$FEATURE_GATES"
  start_component kube-scheduler
}

# A name server address that refuses at once: there is no CoreDNS here, and kubelet would complain
# with an Event per Pod if it had none to give.
refusing_dns() {
  kubectl_admin apply -f - <<MANIFEST
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: $DNS_SERVICE_IP
  ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
MANIFEST
}

default_service_account() {
  wait_for 60 "default service account" kubectl_admin get serviceaccount default -n default
}
