# shellcheck shell=bash
# Container images without a container tool and without a registry: a docker archive is a tar of
# layer tars, one JSON config and one manifest. Everything is deterministic (order, owner, time), so
# that the same files give the same bytes, and a layer's name is the hash of its content.

# pack <folder> <tar> [member...]: everything in it, or the members named.
pack() {
  local folder=$1 tar=$2
  shift 2
  (($#)) || set -- .
  tar --create --file "$tar" --directory "$folder" --sort=name --mtime=@0 --owner=0 --group=0 \
    --numeric-owner --format=gnu "$@"
}

hash_of() {
  local sum
  sum=$(sha256sum "$1") && echo "${sum%% *}"
}

# json_list <words...>: ["a","b"]
json_list() {
  local word out=""
  for word in "$@"; do
    word=${word//\\/\\\\}
    out+="${out:+,}\"${word//\"/\\\"}\""
  done
  echo "[$out]"
}

# add_layer <folder>: packs it and adds it to LAYERS.
add_layer() {
  local part=$WORK/layer.part sum
  pack "$1" "$part"
  sum=$(hash_of "$part")
  mv "$part" "$WORK/$sum.tar"
  LAYERS+=("$sum")
}

# write_archive <repository:tag> <out.tar>: from LAYERS, IMAGE_ENV, IMAGE_ENTRYPOINT, IMAGE_CMD.
write_archive() {
  local name=$1 out=$2 config sum diff_ids
  diff_ids=$(json_list "${LAYERS[@]/#/sha256:}")
  printf '{"architecture":"%s","os":"linux","created":"1970-01-01T00:00:00Z","config":{"Env":%s,"Entrypoint":%s,"Cmd":%s,"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":%s}}' \
    "$IMAGE_ARCH" "$(json_list "${IMAGE_ENV[@]}")" "$(json_list "${IMAGE_ENTRYPOINT[@]}")" \
    "$(json_list "${IMAGE_CMD[@]}")" "$diff_ids" >"$WORK/config.part"
  sum=$(hash_of "$WORK/config.part")
  config=$sum.json
  mv "$WORK/config.part" "$WORK/$config"
  printf '[{"Config":"%s","RepoTags":%s,"Layers":%s}]' \
    "$config" "$(json_list "$name")" "$(json_list "${LAYERS[@]/%/.tar}")" >"$WORK/manifest.json"
  # By name: some readers do not find "./manifest.json".
  pack "$WORK" "$out.part" manifest.json "$config" "${LAYERS[@]/%/.tar}"
  mv "$out.part" "$out"
}
