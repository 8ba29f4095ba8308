#!/bin/bash
# The demo on a cluster whose nodes lack our images: it stops at once and says what to load; nothing else
# stops it. kubectl and helm are scripts here.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
  echo "demo_images_test: $*" >&2
  exit 1
}
export HAMI_IMAGES_DIR=$scratch/images PATH=$scratch/bin:$PATH
unset IMAGE_REGISTRY
mkdir "$scratch/bin"
# helm waits for its hook until somebody says that the hook is done.
cat >"$scratch/bin/helm" <<SH
#!/bin/bash
trap 'echo "helm was ended"; exit 7' TERM
until [[ -e $scratch/hook-done ]]; do sleep 0.1; done
echo "helm is done: \$*"
SH
cat >"$scratch/bin/kubectl" <<SH
#!/bin/bash
if [[ \$* == *" delete "* ]]; then
  echo "\$*" >>$scratch/deleted
  [[ ! -e $scratch/after.json ]] || cp $scratch/after.json $scratch/pods.json
else
  cat $scratch/pods.json
  touch $scratch/asked
fi
SH
chmod +x "$scratch"/bin/*

# shellcheck source=../demo/lib/cluster.sh
. demo/lib/cluster.sh
# shellcheck source=../demo/lib/install.sh
. demo/lib/install.sh
OWN_CLUSTER=0
pods() { # <image> <reason>
  cat >"$scratch/pods.json" <<JSON
{"items":[{"spec":{}},
 {"metadata":{"name":"create-x"},"spec":{"nodeName":"n7"},"status":{"containerStatuses":[
   {"image":"registry.example/other:1","state":{"waiting":{"reason":"ErrImagePull"}}},
   {"image":"$1","state":{"waiting":{"reason":"$2"}}}]}}]}
JSON
}
watched() { unless_images_missing anywhere helm install >"$scratch/said" 2>&1; }

for reason in ErrImagePull ImagePullBackOff ErrImageNeverPull; do
  pods "$(image_name hami)" "$reason"
  code=0
  watched || code=$?
  [[ $code == 3 ]] || fail "$reason: status $code, expected 3: $(cat "$scratch/said")"
  for text in 'helm was ended' "n7 $(image_name hami) $reason" 'images/hami.tar' 'images/sample.tar' IMAGE_REGISTRY; do
    grep -qF "$text" "$scratch/said" || fail "$reason: nothing about $text: $(cat "$scratch/said")"
  done
  if grep -q other: "$scratch/said"; then fail "an image that is not ours: $(cat "$scratch/said")"; fi
done

# Others' images, containers that only start, and a cluster that does not answer stop nothing.
pods "$(image_name hami)" ContainerCreating
rm -f "$scratch/asked"
(until [[ -e $scratch/asked ]]; do sleep 0.1; done; echo "not JSON" >"$scratch/pods.json"; touch "$scratch/hook-done") &
watched || fail "ended without a reason: $(cat "$scratch/said")"
grep -q 'helm is done: install' "$scratch/said" || fail "helm's words are lost: $(cat "$scratch/said")"

# A Pod that an earlier run left in back-off goes first and says nothing about this one.
cp "$scratch/pods.json" "$scratch/after.json"
pods "$(image_name hami)" ImagePullBackOff
rm -f "$scratch/deleted"
watched || fail "stopped by an earlier run's Pod: $(cat "$scratch/said")"
grep -q '^--namespace anywhere delete pod create-x ' "$scratch/deleted" || fail "deleted: $(cat "$scratch/deleted")"
rm "$scratch/after.json"

# Pushed images may come late; kubelet tries again.
pods "$(image_name hami)" ErrImagePull
IMAGE_REGISTRY=registry.example watched || fail "stopped although the images were pushed: $(cat "$scratch/said")"
echo "demo_images_test: all as expected"
