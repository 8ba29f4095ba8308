# shellcheck shell=bash
# The sample Pods: each step makes its own anew, checks what it promises, and tells what it saw.

in_samples() { kube --namespace "$SAMPLES" "$@"; }

# apply_sample <file> [sed expression]: the manifest with this run's image names.
apply_sample() {
  local name
  name=$(image_name sample)
  sed -e "s#image: hami.local/sample:.*#image: $name#" ${2:+-e "$2"} "demo/samples/$1" |
    in_samples apply -f -
}

fresh() { # <pod...>: the namespace is there, these Pods are not
  kube get namespace "$SAMPLES" >/dev/null 2>&1 || {
    kube create namespace "$SAMPLES"
    kube label namespace "$SAMPLES" "$DEMO_LABEL"
  }
  in_samples delete pod "$@" --ignore-not-found --wait --timeout=60s
}

explain_pod() {
  in_samples describe pod "$1"
  in_samples logs "$1" --tail=20 || true
}

running() { # <pod...>
  local pod status
  for pod in "$@"; do
    status=0
    unless_images_missing "$SAMPLES" kubectl --namespace "$SAMPLES" \
      wait "pod/$pod" --for='jsonpath={.status.phase}=Running' --timeout=90s || status=$?
    ((status == 0 || status == 3)) || explain_pod "$pod"
    ((status == 0)) || return "$status"
  done
}

# card_of <pod>: UUID of the first card that the scheduler gave it.
card_of() {
  in_samples get pod "$1" --output json |
    jq -er '.metadata.annotations["hami.io/vgpu-devices-allocated"] | split(",")[0] | select(. != "")'
}

log_has() { in_samples logs "$1" | grep -q -- "$2"; }

sample_share() {
  tell_anew share
  fresh share-a share-b limit spread too-big holder waiter
  apply_sample share.yaml
  running share-a share-b
  local pod
  for pod in share-a share-b; do
    eventually 30 "nvidia-smi of $pod" log_has "$pod" '/ *3000MiB'
  done
  [[ $(card_of share-a) == "$(card_of share-b)" ]] || {
    echo "share-a is on $(card_of share-a), share-b on $(card_of share-b): expected one card"
    return 1
  }
  tell share "both on $(card_of share-a); nvidia-smi in share-a:"
  tell share "$(in_samples logs share-a | grep -A 12 'NVIDIA-SMI' || true)"
  sum_up share "two Pods of 3000 MiB" "share card $(card_of share-a), each sees 3000 MiB"
}

finished() { # <pod>: has ended, well or not
  local phase
  phase=$(in_samples get pod "$1" --output jsonpath='{.status.phase}')
  [[ $phase == Succeeded || $phase == Failed ]] || {
    echo "phase $phase"
    return 1
  }
}

sample_limit() {
  tell_anew limit
  fresh limit
  in_samples delete configmap allocate --ignore-not-found
  in_samples create configmap allocate --from-file=demo/samples/allocate.py
  apply_sample limit.yaml
  eventually 90 "allocator" finished limit || {
    explain_pod limit
    return 1
  }
  in_samples logs limit
  local verdict
  verdict=$(in_samples logs limit | grep '^verdict: exact')
  tell limit "OUT_OF_MEMORY is what this program is meant to meet; libvgpu.so reports each refusal as an ERROR:"
  tell limit "$(in_samples logs limit)"
  sum_up limit "a program under 3000 MiB" "${verdict#verdict: }"
}

sample_spread() {
  tell_anew spread
  fresh spread
  apply_sample spread.yaml
  running spread
  [[ $(card_of spread) != "$(card_of share-a)" ]] || {
    echo "spread is on $(card_of spread), the card of share-a: expected another"
    return 1
  }
  tell spread "share-a is on $(card_of share-a), spread on $(card_of spread)"
  sum_up spread "a Pod with card policy spread" "took another card, $(card_of spread)"
}

# refusal_of <pod>: the text of our scheduler's Event.
refusal_of() {
  in_samples get events --output json \
    --field-selector "involvedObject.name=$1,reason=FilteringFailed" | jq -er '.items | last | .message'
}

sample_pending() {
  tell_anew pending
  fresh too-big
  in_samples delete events --field-selector involvedObject.name=too-big
  apply_sample too-big.yaml
  eventually 60 "refusal of too-big" refusal_of too-big
  [[ $(in_samples get pod too-big --output jsonpath='{.status.phase}') == Pending ]]
  grep -q '[0-9]' <<<"$(refusal_of too-big)"
  tell pending "too-big is Pending; the Event says:"
  tell pending "$(refusal_of too-big)"
  sum_up pending "a Pod of 9999999 MiB" "stays Pending: $(refusal_of too-big | cut -d';' -f1,2)"
}

bound() { [[ -n $(in_samples get pod "$1" --output jsonpath='{.spec.nodeName}') ]]; }

sample_release() {
  tell_anew release
  fresh holder waiter
  local card started
  card=$(card_of spread)
  apply_sample holder.yaml "s#GPU-of-your-choice#$card#"
  running holder
  apply_sample waiter.yaml "s#GPU-of-your-choice#$card#"
  eventually 60 "refusal of waiter" refusal_of waiter
  if bound waiter; then
    echo "waiter is bound although 60 % of $card are taken by holder"
    return 1
  fi
  in_samples delete pod holder --wait --timeout=60s
  started=$SECONDS
  eventually 60 "waiter bound" bound waiter
  running waiter
  tell release "holder took 60 % of $card, waiter wanted 60 % of it and waited;"
  tell release "bound $((SECONDS - started)) s after holder was gone"
  sum_up release "a deleted Pod's share" "went to the waiting Pod within $((SECONDS - started)) s"
}
