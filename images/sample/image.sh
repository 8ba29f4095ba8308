# shellcheck shell=bash disable=SC2034
# For sample Pods: glibc, bash, coreutils, Python, and gpu-alloc, which takes card memory. The driver libraries and
# nvidia-smi are not in it: they come into the container by CDI, as on a real node.
IMAGE_TAG=sample:$HAMI_VERSION
IMAGE_CMD=(/bin/bash)
IMAGE_ENV=(PATH=/usr/local/bin:/usr/bin:/bin LANG=C.UTF-8)

SAMPLE_PACKAGES=(libc6 libc-bin bash coreutils grep sed procps python3-minimal python3.11-minimal
  libpython3.11-minimal libpython3.11-stdlib)

sample_programs() {
  [[ ! -d $BUILD_DIR/bin ]] || find "$BUILD_DIR/bin" -maxdepth 1 -type f -perm -u+x -name gpu-alloc
}

image_inputs() {
  # shellcheck disable=SC2016 # dpkg-query's own placeholders
  dpkg-query -W -f '${Package} ${Version} ${db:Status-Status}\n' "${SAMPLE_PACKAGES[@]}" ||
    fail "Debian packages of the sample image are not installed; run tools/install-deps"
  sample_programs
}

image_layers() {
  local elf
  mkdir "$STAGE/base"
  skeleton "$STAGE/base"
  put_packages "$STAGE/base" "${SAMPLE_PACKAGES[@]}"
  ln -sf bash "$STAGE/base/usr/bin/sh"
  mapfile -t elf < <(elf_files "$STAGE/base/usr")
  put_libraries "$STAGE/base" "${elf[@]}"
  add_layer "$STAGE/base"
  local program programs
  mapfile -t programs < <(sample_programs)
  ((${#programs[@]})) || return 0
  mkdir "$STAGE/samples"
  for program in "${programs[@]}"; do put "$STAGE/samples" "$program" "/usr/local/bin/${program##*/}"; done
  put_libraries "$STAGE/samples" "${programs[@]}"
  add_layer "$STAGE/samples"
}
