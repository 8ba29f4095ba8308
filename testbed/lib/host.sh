# shellcheck shell=bash
# The few things of the machine itself that a kubelet changes: kernel settings, put back by `down`.

HOST_SETTINGS=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops
  kernel.keys.root_maxkeys kernel.keys.root_maxbytes)

save_host_settings() {
  local setting file
  [[ -f $STATE/host-settings ]] && return 0
  for setting in "${HOST_SETTINGS[@]}"; do
    file=/proc/sys/${setting//.//}
    [[ ! -r $file ]] || echo "$file $(cat "$file")"
  done >"$STATE/host-settings.part"
  mv "$STATE/host-settings.part" "$STATE/host-settings"
}

restore_host_settings() {
  local file value
  [[ -f $STATE/host-settings ]] || return 0
  while read -r file value; do
    [[ $(cat "$file") == "$value" ]] || echo "$value" >"$file" || echo "cannot restore $file to $value"
  done <"$STATE/host-settings"
}
