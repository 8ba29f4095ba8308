# shellcheck shell=bash
# A simulated driver root: what a real GPU node has below /, with our simulated libraries, the real
# nvidia-smi, and device nodes that are /dev/null by number. Nothing of it touches the host's /dev.

NVIDIA_SMI_VERSION=535.261.03 # must equal `driver:` of the cards, or nvidia-smi refuses to talk
NVIDIA_SMI=$HAMI_CACHE/nvidia-smi/$NVIDIA_SMI_VERSION/nvidia-smi
SIM_LIB_DIR=${HAMI_BUILD_DIR:-$REPO_ROOT/build/release}/lib/sim
LIBRARY_DIR=usr/lib/$(uname -m)-linux-gnu

# fetch_nvidia_smi: from Debian's non-free, through an apt state of its own; the machine's sources
# stay as they are. The mirror is the one that the machine already uses.
fetch_nvidia_smi() {
  [[ -x $NVIDIA_SMI ]] && return 0
  local dir sources keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  dir=$(mktemp -d)
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial" "${NVIDIA_SMI%/*}"
  # shellcheck disable=SC2016 # apt's own placeholders
  sources=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(ORIGIN)' 'Created-By: Packages' |
    awk '$3 == "Debian" && $2 !~ /security/ {print $1, $2}' | sort -u)
  [[ -n $sources ]] || {
    echo "no Debian source is configured; put nvidia-smi $NVIDIA_SMI_VERSION at $NVIDIA_SMI by hand"
    return 1
  }
  [[ -r $keyring ]] && keyring="[signed-by=$keyring] " || keyring=""
  sed "s|^|deb $keyring|; s|\$| non-free|" <<<"$sources" >"$dir/sources.list"
  local options=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=-
    -o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  (cd "$dir" && apt-get "${options[@]}" download "nvidia-smi=$NVIDIA_SMI_VERSION-*")
  dpkg-deb --extract "$dir"/nvidia-smi_*.deb "$dir/root"
  install -m 755 "$dir/root/usr/lib/nvidia/current/nvidia-smi" "$NVIDIA_SMI.part"
  mv "$NVIDIA_SMI.part" "$NVIDIA_SMI"
  rm -rf "$dir"
}

# card_minors <cards file>: the numbers N of /dev/nvidiaN, one a line. Reads the cards written as a
# block list ("- model: ..." or "- {model: ...}" a card).
card_minors() {
  awk '
    /^[A-Za-z_]+:/ { in_cards = /^cards:/ }
    !in_cards { next }
    { sub(/(^|[ \t])#.*/, "") }
    match($0, /^[ \t]*- /) && (!items || RLENGTH == indent) { indent = RLENGTH; items++; count[items] = 1; minor[items] = "" }
    match($0, /(^|[ ,{-])count: *[0-9]+/) { s = substr($0, RSTART, RLENGTH); sub(/.*: */, "", s); count[items] = s }
    match($0, /(^|[ ,{-])minor: *[0-9]+/) { s = substr($0, RSTART, RLENGTH); sub(/.*: */, "", s); minor[items] = s }
    END {
      for (i = 1; i <= items; i++)
        for (c = 0; c < count[i]; c++) { print (minor[i] == "" ? at + 0 : minor[i]); at++ }
      if (!items) { print "no cards found in " FILENAME "; write them as a block list" >"/dev/stderr"; exit 1 }
    }' "$1"
}

# replace_file <source> <target> [mode]: by rename, because running containers have the old one mapped.
replace_file() {
  cmp -s "$1" "$2" && return 0
  install -D -m "${3:-755}" "$1" "$2.part"
  mv "$2.part" "$2"
}

# describe_cards <dir> <cards file> <seed>: same cards, other UUIDs on every node: the seed decides them
# where the file names none.
describe_cards() {
  local root=$1 cards=$2 seed=$3 old_seed
  old_seed=$(sed -n 's/^seed: *//p' "$cards")
  {
    grep -v '^seed:' "$cards"
    echo "seed: ${old_seed:+$old_seed-}$seed"
  } >"$root/run/fakegpu/cards.part"
  if cmp -s "$root/run/fakegpu/cards.part" "$root/run/fakegpu/cards.yaml"; then
    rm "$root/run/fakegpu/cards.part"
  else
    chmod 644 "$root/run/fakegpu/cards.part"
    mv "$root/run/fakegpu/cards.part" "$root/run/fakegpu/cards.yaml"
  fi
}

# make_driver_root <dir> <cards file> <seed>: assembles or updates it.
make_driver_root() {
  local root=$1 cards=$2 seed=$3 version library minor minors node
  minors=$(card_minors "$cards")
  version=$(sed -n 's/^driver: *"\{0,1\}\([0-9.]*\).*/\1/p' "$cards")
  [[ ${version:-$NVIDIA_SMI_VERSION} == "$NVIDIA_SMI_VERSION" ]] ||
    echo "note: nvidia-smi $NVIDIA_SMI_VERSION will refuse a driver that calls itself $version"
  version=${version:-$NVIDIA_SMI_VERSION}
  for library in libcuda libnvidia-ml; do
    [[ -f $SIM_LIB_DIR/$library.so.1 ]] || {
      echo "no $SIM_LIB_DIR/$library.so.1: build the simulated driver first (make build), or use --no-cards"
      return 1
    }
  done
  fetch_nvidia_smi
  for library in libcuda libnvidia-ml; do
    replace_file "$SIM_LIB_DIR/$library.so.1" "$root/$LIBRARY_DIR/$library.so.$version"
    ln -sfn "$library.so.$version" "$root/$LIBRARY_DIR/$library.so.1"
  done
  replace_file "$NVIDIA_SMI" "$root/usr/bin/nvidia-smi"
  mkdir -p "$root/dev" "$root/run/fakegpu"
  chmod 1777 "$root/run/fakegpu" # every user's process shares the state file in it
  [[ $cards -ef $root/run/fakegpu/cards.yaml ]] || describe_cards "$root" "$cards" "$seed"
  rm -f "$root"/dev/nvidia[0-9]*
  for minor in $minors; do mknod -m 666 "$root/dev/nvidia$minor" c 1 3; done
  for node in nvidiactl nvidia-uvm; do
    [[ -c $root/dev/$node ]] || mknod -m 666 "$root/dev/$node" c 1 3
  done
}

# node_driver_root <n> <cards file> <chosen>: seen in the node (and by its Pods' hostPath) as
# /run/nvidia/driver. Cards that nobody chose anew (0) stay as they are.
node_driver_root() {
  local root own=${2%.yaml}.node$1.yaml
  root=$(node_dir "$1")/run/nvidia/driver
  [[ -f $own ]] || own=$2
  if (($3 == 0)) && [[ -f $root/run/fakegpu/cards.yaml ]]; then own=$root/run/fakegpu/cards.yaml; fi
  make_driver_root "$root" "$own" "$(node_name "$1")"
}
