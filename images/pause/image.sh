# shellcheck shell=bash disable=SC2034
# The sandbox image: one static program.
IMAGE_TAG=pause:1
IMAGE_ENTRYPOINT=(/pause)

image_inputs() { echo "$IMAGES_ROOT/pause/pause.c"; }

image_layers() {
  mkdir -p "$STAGE/root"
  gcc -std=gnu11 -Os -Wall -Wextra -Werror -static -s -o "$STAGE/root/pause" "$IMAGES_ROOT/pause/pause.c"
  add_layer "$STAGE/root"
}
