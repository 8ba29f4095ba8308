# shellcheck shell=bash disable=SC2034
# A stock kube-scheduler, the testbed's own build of it; HAMi's Deployment runs it beside our extender.
# shellcheck source=/dev/null
source "$REPO_ROOT/testbed/lib/programs.sh"
IMAGE_TAG=kube-scheduler:$KUBERNETES_VERSION
IMAGE_CMD=(kube-scheduler)

image_inputs() {
  [[ -x $PROGRAMS_BIN/kube-scheduler ]] || fail "no kube-scheduler in $PROGRAMS_BIN; run testbed/programs/build"
  echo "$PROGRAMS_BIN/kube-scheduler"
}

image_layers() {
  mkdir "$STAGE/root"
  skeleton "$STAGE/root"
  busybox_tools "$STAGE/root"
  authorities "$STAGE/root"
  add_layer "$STAGE/root"
  mkdir "$STAGE/program"
  put "$STAGE/program" "$PROGRAMS_BIN/kube-scheduler" /usr/local/bin/kube-scheduler
  add_layer "$STAGE/program"
}
