#!/bin/bash
# The simulated libraries and gpu-alloc must load into every glibc image (spec libvgpu.md C9):
# no symbol version above 2.17, no C++ runtime, all names exported.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
failed=0
fail() {
  echo "abi_test: $*" >&2
  failed=1
}
for file in "$@"; do
  newest=$(objdump -T "$file" | grep -oE 'GLIBC_[0-9.]+' | sort -uV | tail -1)
  [ "$(printf '%s\nGLIBC_2.17\n' "$newest" | sort -V | tail -1)" = GLIBC_2.17 ] ||
    fail "$file needs $newest: $(objdump -T "$file" | grep -F "$newest" | awk '{print $NF}' | xargs)"
  others=$(readelf -d "$file" | grep NEEDED | grep -oE '\[[^]]+\]' |
    grep -vE '^\[(libc|libdl|libpthread|ld-linux-x86-64|ld-linux-aarch64)\.so\.[0-9]+\]$' || true)
  [ -z "$others" ] || fail "$file needs $others"
  if objdump -T "$file" | grep -qE 'GLIBCXX|CXXABI|GCC_'; then fail "$file needs a C++ runtime"; fi
  if readelf -d "$file" | grep -q TEXTREL; then fail "$file has text relocations"; fi
done
check_exports() {  # library, list of names, pattern of what may be exported
  exported=$(nm -D --defined-only "$1" | awk '{print $NF}' | sort)
  missing=$(grep -oP '(?<=SIM_NAME\()\w+' "$2" | sort | comm -23 - <(echo "$exported"))
  [ -z "$missing" ] || fail "$1 does not export $missing"
  surplus=$(echo "$exported" | grep -vE "$3" || true)
  [ -z "$surplus" ] || fail "$1 exports $surplus"
}
check_exports "$1" "$here/cuda/names.inc" '^cu[A-Z]'
check_exports "$2" "$here/nvml/names.inc" '^nvml[A-Z]'
exit $failed
