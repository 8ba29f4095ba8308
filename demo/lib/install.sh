# shellcheck shell=bash
# Build, images, chart, readiness.

check_packages() {
  local missing=() package
  for package in $(tools/install-deps --list); do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' ||
      missing+=("$package")
  done
  ((${#missing[@]} == 0)) || {
    echo "with KUBECONFIG set nothing is installed on this machine; missing: ${missing[*]}"
    echo "install them yourself: apt-get install ${missing[*]}"
    return 1
  }
}

build_release() { cmake --preset release && cmake --build --preset release; }

# image_name <image>: full name of one of our images.
image_name() { images/build --names "$1"; }

how_to_load() {
  echo "To load the archives into every node with cards and the scheduler's, for example there:"
  local image
  for image in hami sample; do
    echo "  ctr -n k8s.io images import $PWD/build/images/$image.tar    # $(image_name $image)"
  done
}

# missing_images <namespace>: "pod node image reason" for each image of ours that a Pod's node has not got.
missing_images() {
  kube --namespace "$1" get pods --output json |
    jq -r --arg ours "$(image_name hami) $(image_name sample)" '
      .items[] | .metadata.name as $pod | .spec.nodeName as $node
        | ((.status.initContainerStatuses // []) + (.status.containerStatuses // []))[]
        | select(.state.waiting.reason | IN("ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull"))
        | select(.image | IN($ours | split(" ")[]))
        | "\($pod) \($node) \(.image) \(.state.waiting.reason)"'
}

# forget_failed_pulls <namespace>: Pods of an earlier run wait minutes for kubelet's next try; new ones do not.
forget_failed_pulls() {
  local pods
  mapfile -t pods < <(missing_images "$1" 2>/dev/null | cut -d' ' -f1 | sort -u)
  ((${#pods[@]} == 0)) ||
    kube --namespace "$1" delete pod "${pods[@]}" --ignore-not-found --wait --timeout=60s
}

# unless_images_missing <namespace> <kubectl|helm> [args]: the command, ended at once, with status 3 and
# what to do, when a node lacks an image that nobody has pushed: waiting does not help then.
unless_images_missing() (
  local where=$1 path missing child
  path=$(program_path "$2") || return
  shift 2
  if ((OWN_CLUSTER)) || [[ -n ${IMAGE_REGISTRY:-} ]]; then
    "$path" "$@"
    return
  fi
  forget_failed_pulls "$where"
  "$path" "$@" &
  child=$!
  # Ctrl-C does not reach what runs in the background.
  trap 'kill "$child" 2>/dev/null || true' EXIT
  while kill -0 "$child" 2>/dev/null; do
    missing=$(missing_images "$where" 2>/dev/null | cut -d' ' -f2- | sort -u) || missing=
    if [[ -n $missing ]]; then
      kill "$child" 2>/dev/null || true
      trap - EXIT
      wait "$child" || true
      echo "nodes without our images (node, image, what kubelet says):"
      echo "  ${missing//$'\n'/$'\n'  }"
      how_to_load
      echo "or set IMAGE_REGISTRY, and the demo pushes them there. Then start it again."
      return 3
    fi
    sleep 1
  done
  trap - EXIT
  wait "$child"
)

provide_images() {
  tell_anew images
  if ((OWN_CLUSTER)); then
    images/build hami sample kube-scheduler
    testbed/load build/images/{hami,sample,kube-scheduler}.tar
    return
  fi
  images/build hami sample
  if [[ -z ${IMAGE_REGISTRY:-} ]]; then
    tell images "IMAGE_REGISTRY is not set: the demo goes on only where the nodes have these images already."
    tell images "$(how_to_load)"
    tell images "The scheduler's Pod also runs the stock kube-scheduler, which the nodes pull themselves."
    return
  fi
  images/push hami sample
  local image
  for image in hami sample; do tell images "pushed $(image_name "$image")"; done
}

# foreign_release: an installation that the demo did not make; not the demo's to change.
foreign_release() {
  helm_ list --all-namespaces --output json | jq -r --arg ns "$NAMESPACE" \
    '.[] | select((.chart | startswith("hami-")) and .namespace != $ns) | .namespace + "/" + .name'
}
refuse_foreign_release() {
  local found
  found=$(foreign_release)
  [[ -z $found ]] || {
    echo "this cluster has HAMi already: $found; the demo would fight with it."
    echo "Remove it first, or use another cluster."
    return 1
  }
}

install_chart() {
  [[ -z ${DEMO_VALUES:-} || -r $DEMO_VALUES ]] || {
    echo "DEMO_VALUES=$DEMO_VALUES: no such file; expected a values file for the chart"
    return 1
  }
  local image scheduler registry
  image=$(image_name hami)
  registry=${image%/*}
  local arguments=(upgrade --install hami charts/hami --namespace "$NAMESPACE" --timeout 3m
    --set "scheduler.extender.image.registry=$registry"
    --set "devicePlugin.image.registry=$registry"
    --set "global.imageTag=${image##*:}")
  # The tag stays the same when the programs change: the archive's key rolls the Pods.
  local key
  key=$(cut -c1-12 build/images/hami.tar.key)
  arguments+=(--set-string "scheduler.podAnnotations.demo-image=$key"
    --set-string "devicePlugin.podAnnotations.demo-image=$key")
  if ((OWN_CLUSTER)); then
    scheduler=$(image_name kube-scheduler)
    arguments+=(--values demo/values.yaml
      --set "scheduler.kubeScheduler.image.registry=${scheduler%/*}"
      --set "scheduler.kubeScheduler.image.tag=${scheduler##*:}")
    kube label nodes --all gpu=on --overwrite
  else
    refuse_foreign_release
    [[ -n $(kube get nodes --selector gpu=on --output name) ]] || {
      echo "no node is labelled gpu=on; label those with cards: kubectl label node NAME gpu=on"
      return 1
    }
  fi
  [[ -z ${DEMO_VALUES:-} ]] || arguments+=(--values "$DEMO_VALUES")
  kube get namespace "$NAMESPACE" >/dev/null 2>&1 || {
    kube create namespace "$NAMESPACE"
    kube label namespace "$NAMESPACE" "$DEMO_LABEL"
  }
  # A release that an interrupted run left half made can only be made anew.
  case $(helm_ status hami --namespace "$NAMESPACE" --output json 2>/dev/null | jq -r .info.status) in
    pending-*) helm_ uninstall hami --namespace "$NAMESPACE" --no-hooks --wait ;;
  esac
  # What helm says comes last: it is the reason, the state of the Pods only the circumstances.
  local said status=0
  said=$(unless_images_missing "$NAMESPACE" helm "${arguments[@]}" 2>&1) || status=$?
  if ((status != 0 && status != 3)); then
    why_not_running
    echo "---- helm"
  fi
  echo "$said"
  return "$status"
}

# The state of our Pods, when they are not as they should be.
why_not_running() {
  kube --namespace "$NAMESPACE" get pods --output wide
  kube --namespace "$NAMESPACE" get events --sort-by=.lastTimestamp | tail -n 15
  local pod
  for pod in $(kube --namespace "$NAMESPACE" get pods --output name); do
    echo "---- $pod"
    kube --namespace "$NAMESPACE" logs "$pod" --all-containers --tail=15 || true
  done
}

# cards <node> <jq filter>: what the node's register annotation says; fails while it names no card.
cards() {
  kube get node "$1" --output json | jq -er \
    '.metadata.annotations["hami.io/node-nvidia-register"] // "[]" | fromjson | select(. != []) | '"$2"
}
# shares_of <node>: shares that kubelet has to give; fails while there is none.
shares_of() {
  kube get node "$1" --output json |
    jq -er '.status.allocatable["nvidia.com/gpu"] // "0" | tonumber | select(. > 0)'
}
CARD_SUMMARY='group_by([.type, .devmem])
  | map("\(length) x \(.[0].type) of \(.[0].devmem) MiB") | join(", ")'

everything_ready() {
  tell_anew ready
  local workload node status
  for workload in deployment/hami-scheduler daemonset/hami-device-plugin; do
    status=0
    unless_images_missing "$NAMESPACE" kubectl --namespace "$NAMESPACE" \
      rollout status "$workload" --timeout=180s || status=$?
    ((status == 0 || status == 3)) || why_not_running
    ((status == 0)) || return "$status"
  done
  for node in $(kube get nodes --selector gpu=on --output jsonpath='{.items[*].metadata.name}'); do
    eventually 60 "cards of node $node" cards "$node" length
    eventually 60 "shares of node $node" shares_of "$node"
    tell ready "node $node: $(cards "$node" "$CARD_SUMMARY"); $(shares_of "$node") shares in kubelet"
    sum_up ready "node $node" "$(cards "$node" length) cards registered, $(shares_of "$node") shares"
  done
  local replicas
  replicas=$(kube --namespace "$NAMESPACE" get deployment hami-scheduler --output jsonpath='{.spec.replicas}')
  if ((replicas < 2)); then
    tell ready "one scheduler replica: a Pod created while it restarts goes to the default scheduler for" \
      "good, without a card (failurePolicy Ignore); two replicas lose none (scheduler.replicas=2)"
  fi
}
