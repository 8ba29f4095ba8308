# shellcheck shell=bash
# Certificates and kubeconfigs: one authority for the testbed, made once per state folder.

PKI=$STATE/pki

# issue <file stem> <subject> <serverAuth|clientAuth|both> [alternative names]
issue() {
  local stem=$PKI/$1 usage=$3
  [[ -s $stem.crt && -s $stem.key ]] && return 0
  [[ $usage == both ]] && usage=serverAuth,clientAuth
  openssl ecparam -name prime256v1 -genkey -noout -out "$stem.key"
  openssl req -new -key "$stem.key" -subj "$2" -out "$stem.csr"
  {
    echo "basicConstraints=CA:FALSE"
    echo "keyUsage=digitalSignature"
    echo "extendedKeyUsage=$usage"
    [[ -z ${4:-} ]] || echo "subjectAltName=$4"
  } >"$stem.ext"
  openssl x509 -req -in "$stem.csr" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial \
    -days 3650 -extfile "$stem.ext" -out "$stem.crt"
  rm -f "$stem.csr" "$stem.ext"
}

# write_kubeconfig <file> <certificate stem>
write_kubeconfig() {
  local ca crt key
  ca=$(base64 -w0 "$PKI/ca.crt") crt=$(base64 -w0 "$PKI/$2.crt") key=$(base64 -w0 "$PKI/$2.key")
  (
    umask 077
    cat >"$1" <<CONFIG
apiVersion: v1
kind: Config
clusters:
- name: hami-testbed
  cluster: {server: "$API_URL", certificate-authority-data: $ca}
users:
- name: $2
  user: {client-certificate-data: $crt, client-key-data: $key}
contexts:
- name: hami-testbed
  context: {cluster: hami-testbed, user: $2}
current-context: hami-testbed
CONFIG
  )
}

control_plane_certificates() {
  (umask 077 && mkdir -p "$PKI")
  if [[ ! -s $PKI/ca.crt ]]; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/ca.key"
    openssl req -x509 -new -key "$PKI/ca.key" -subj "/CN=hami-testbed" -days 3650 \
      -addext "keyUsage=critical,keyCertSign,cRLSign,digitalSignature" -out "$PKI/ca.crt"
  fi
  issue apiserver "/CN=kube-apiserver" serverAuth \
    "IP:127.0.0.1,IP:$API_SERVICE_IP,IP:$(node_ip 1),DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
  issue apiserver-kubelet "/O=system:masters/CN=kube-apiserver-kubelet-client" clientAuth
  issue admin "/O=system:masters/CN=admin" clientAuth
  issue kube-controller-manager "/CN=system:kube-controller-manager" clientAuth
  issue kube-scheduler "/CN=system:kube-scheduler" clientAuth
  issue kube-proxy "/CN=system:kube-proxy" clientAuth
  if [[ ! -s $PKI/service-account.key ]]; then
    openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/service-account.key"
  fi
  local user
  for user in kube-controller-manager kube-scheduler kube-proxy; do
    write_kubeconfig "$PKI/$user.kubeconfig" "$user"
  done
  write_kubeconfig "$KUBECONFIG_FILE" admin
}

# node_certificates <n>
node_certificates() {
  local name
  name=$(node_name "$1")
  issue "kubelet-$name" "/O=system:nodes/CN=system:node:$name" both "IP:$(node_ip "$1"),DNS:$name"
  write_kubeconfig "$PKI/kubelet-$name.kubeconfig" "kubelet-$name"
}
