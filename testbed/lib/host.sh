# shellcheck shell=bash
# The few things of the machine itself that a kubelet changes: kernel settings, put back by `down`.

HOST_SETTINGS=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

SAVED_SETTINGS=/var/lib/hami-testbed.settings

save_host_settings() {
  local setting file
  [[ -f $SAVED_SETTINGS ]] && return 0
  for setting in "${HOST_SETTINGS[@]}"; do
    file=/proc/sys/${setting//.//}
    [[ ! -r $file ]] || echo "$file $(cat "$file")"
  done >"$SAVED_SETTINGS.part"
  mv "$SAVED_SETTINGS.part" "$SAVED_SETTINGS"
}

# The first testbed saves, the last one restores.
restore_host_settings() {
  local file value
  [[ -f $SAVED_SETTINGS ]] || return 0
  ! other_testbed || return 0
  while read -r file value; do
    [[ $(cat "$file") == "$value" ]] || echo "$value" >"$file" || echo "cannot restore $file to $value"
  done <"$SAVED_SETTINGS"
  rm -f "$SAVED_SETTINGS"
}
