# shellcheck shell=bash
# What goes into an image's root: from this machine's Debian packages and our own build, by copy.

# skeleton <root>: merged /usr, the folders and files that programs expect everywhere.
skeleton() {
  local root=$1 dir
  mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,etc,tmp,var/tmp,run,root,proc,sys,dev}
  for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
  ln -s /run "$root/var/run"
  chmod 1777 "$root/tmp" "$root/var/tmp"
  printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$root/etc/passwd"
  printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
  echo "hosts: files dns" >"$root/etc/nsswitch.conf"
}

# put <root> <file> <path in the image> [mode]
put() { install -D -m "${4:-755}" "$2" "$1$3"; }

busybox_tools() {
  local root=$1 applet
  put "$root" "$(command -v busybox)" /usr/bin/busybox
  "$root/usr/bin/busybox" --list | while read -r applet; do
    [[ -e $root/usr/bin/$applet ]] || ln -s busybox "$root/usr/bin/$applet"
  done
}

authorities() {
  put "$1" /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt 644
  mkdir -p "$1/usr/lib/ssl"
  ln -s /etc/ssl/certs "$1/usr/lib/ssl/certs"
  ln -s /etc/ssl/certs/ca-certificates.crt "$1/usr/lib/ssl/cert.pem"
}

# elf_files <folder or file...>
elf_files() {
  find "$@" -type f -size +0 \( -perm /111 -o -name '*.so*' \) -exec sh -c \
    'for f; do [ "$(head -c 4 "$f" | tail -c 3)" = ELF ] && echo "$f"; done; :' sh {} +
}

# libraries_of <elf...>: resolved shared libraries, loader included, one path a line. A library that
# is not found is an error with its name.
libraries_of() {
  local out
  out=$(for elf in "$@"; do ldd "$elf" 2>/dev/null || true; done)
  if grep -q 'not found' <<<"$out"; then
    echo "shared libraries missing on this machine:" >&2
    grep 'not found' <<<"$out" | sort -u >&2
    return 1
  fi
  awk '$2 == "=>" && $3 ~ /^\// {print $3} $1 ~ /^\// {print $1}' <<<"$out" | sort -u
}

# put_libraries <root> <elf...>: their closure, at the places where the loader finds it. What the
# elf files' own build folder holds is not taken: that is the caller's to place.
put_libraries() {
  local root=$1 library
  shift
  local list
  list=$(libraries_of "$@")
  for library in $list; do
    [[ $library == "${BUILD_DIR:-/nowhere}"/* ]] && continue
    case $library in
      /lib64/* | /usr/lib64/*) put "$root" "$library" "/usr/lib64/${library##*/}" ;;
      *) put "$root" "$library" "/usr/lib/$(uname -m)-linux-gnu/${library##*/}" ;;
    esac
  done
}

# put_libc <root>: all of glibc's libraries. What a driver root brings (libnvidia-ml and its like) is
# linked to some that none of our programs needs.
put_libc() {
  local library
  for library in libc.so.6 libm.so.6 libdl.so.2 libpthread.so.0 librt.so.1; do
    put "$1" "/lib/$(uname -m)-linux-gnu/$library" "/usr/lib/$(uname -m)-linux-gnu/$library"
  done
}

# put_packages <root> <debian package...>: their files, without documentation.
put_packages() {
  local root=$1
  shift
  # Packages name files below /bin and /lib that lie in /usr/bin and /usr/lib.
  dpkg -L "$@" | sort -u | grep -vE '^/usr/share/(doc|man|locale|lintian|info|bug|menu)(/|$)' |
    while read -r file; do
      if [[ -f $file || -L $file ]] && [[ ! -d $file || -L $file ]]; then echo "${file#/}"; fi
    done |
    tar --create --directory / --no-recursion --files-from - \
      --transform 's,^\(bin\|sbin\|lib\|lib64\)/,usr/\1/,' |
    tar --extract --directory "$root" --keep-directory-symlink
}
