#!/bin/sh
# vgpu-init.sh DEST: installs the limiter's files into DEST, as the reference's chart calls it from
# a postStart hook. hami-device-plugin installs them itself before it serves; this stays for charts
# and manifests of the reference. A file that running programs have mapped is never written into:
# a new one takes its place by rename.
set -eu
[ $# -eq 1 ] || { echo "usage: vgpu-init.sh DEST" >&2; exit 2; }
dest=${1%/}
mkdir -p "$dest"
for file in /k8s-vgpu/lib/nvidia/*; do
  name=${file##*/}
  if [ "$name" = ld.so.preload ] || [ ! -f "$file" ]; then continue; fi
  cmp -s "$file" "$dest/$name" && continue
  cp "$file" "$dest/.$name.$$"
  sync "$dest/.$name.$$"
  mv "$dest/.$name.$$" "$dest/$name"
done
echo "$dest/libvgpu.so" >"$dest/.ld.so.preload.$$"
mv "$dest/.ld.so.preload.$$" "$dest/ld.so.preload"
