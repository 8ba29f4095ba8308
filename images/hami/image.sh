# shellcheck shell=bash disable=SC2034,SC2054 # a comma is part of a value here
# Our programs, libvgpu.so, the reference's program names, and the libraries they need.
IMAGE_TAG=hami:$HAMI_VERSION
IMAGE_CMD=(/bin/sh)
IMAGE_ENV=(PATH=/k8s-vgpu/bin:/usr/local/bin:/usr/bin:/bin
  NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_DISABLE_REQUIRE=true)

# The reference's name of a program = ours (a link), so that its chart and manifests run our image.
REFERENCE_NAMES=(scheduler=hami-scheduler nvidia-device-plugin=hami-device-plugin
  vGPUmonitor=hami-monitor k8s-device-plugin=hami-device-plugin
  shrreg-tool=hami-region)

hami_programs() {
  [[ ! -d $BUILD_DIR/bin ]] ||
    find "$BUILD_DIR/bin" -maxdepth 1 -type f -perm -u+x \( -name 'hami-*' ! -name hami-sim -o -name hamictl \) | sort
}

image_inputs() {
  [[ -n $(hami_programs) ]] || fail "no hami programs in $BUILD_DIR/bin; build them first (make build)"
  hami_programs
  [[ ! -f $BUILD_DIR/lib/libvgpu.so ]] || echo "$BUILD_DIR/lib/libvgpu.so"
  echo "$IMAGES_ROOT/hami/vgpu-init.sh"
}

image_layers() {
  local programs pair
  mapfile -t programs < <(hami_programs)
  mkdir "$STAGE/base" "$STAGE/libraries" "$STAGE/ours"
  skeleton "$STAGE/base"
  busybox_tools "$STAGE/base"
  authorities "$STAGE/base"
  add_layer "$STAGE/base"

  put_libraries "$STAGE/libraries" "${programs[@]}"
  put_libc "$STAGE/libraries"
  add_layer "$STAGE/libraries"

  local program
  for program in "${programs[@]}"; do
    put "$STAGE/ours" "$program" "/k8s-vgpu/bin/${program##*/}"
    strip --strip-debug "$STAGE/ours/k8s-vgpu/bin/${program##*/}"
  done
  put "$STAGE/ours" "$IMAGES_ROOT/hami/vgpu-init.sh" /k8s-vgpu/bin/vgpu-init.sh
  for pair in "${REFERENCE_NAMES[@]}"; do
    ln -s "${pair#*=}" "$STAGE/ours/k8s-vgpu/bin/${pair%%=*}"
  done
  if [[ -f $BUILD_DIR/lib/libvgpu.so ]]; then
    put "$STAGE/ours" "$BUILD_DIR/lib/libvgpu.so" "/k8s-vgpu/lib/nvidia/libvgpu.so.$HAMI_VERSION"
  fi
  add_layer "$STAGE/ours"
}
