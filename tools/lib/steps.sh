# shellcheck shell=bash
# Steps with progress: sourced by tools/test and demo/up.
#
#   steps_begin "make test" "$log_dir" "tools/test --only"
#   step NAME "what it does" command [args...]
#   steps_end
#
# A step's output goes to its log; a failed one prints the end of it, the log's name and the command that
# repeats it alone. Lines of it that begin with SKIPPED are shown. STEPS_ONLY names a single step to run.

steps_begin() {
  STEPS_TITLE=$1 STEPS_LOGS=$2 STEPS_REPEAT=$3
  STEPS_STARTED=$SECONDS STEPS_DONE=() STEPS_MATCHED=0
  mkdir -p "$STEPS_LOGS"
}

# steps_known: the steps that the program's --help lists, one a line.
steps_known() { usage | sed -n 's/^  \([a-z0-9-]*\)  .*/\1/p'; }

# steps_wanted --only [STEP]: sets STEPS_ONLY to one of them.
steps_wanted() {
  local known
  known=$(steps_known | tr '\n' ' ')
  if [[ -z ${2:-} || " $known" != *" ${2:-} "* ]]; then
    echo "--only: ${2:+\"$2\" is not a step; }expected one of: $known" >&2
    exit 2
  fi
  # shellcheck disable=SC2034 # read by step
  STEPS_ONLY=$2
}

# "1m05s"
steps_elapsed() {
  printf '%dm%02ds' $(($1 / 60)) $(($1 % 60))
}

# Says every minute that a long step still runs, and its last line.
steps_heartbeat() {
  local name=$1 log=$2 started=$SECONDS
  while sleep 60; do
    printf '    %s: %s so far: %s\n' "$name" "$(steps_elapsed $((SECONDS - started)))" \
      "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
  done
}

step() {
  local name=$1 what=$2
  shift 2
  if [[ -n ${STEPS_ONLY:-} && $STEPS_ONLY != "$name" ]]; then return 0; fi
  STEPS_MATCHED=1
  local log=$STEPS_LOGS/$name.log started=$SECONDS rc=0
  printf '[%s] %-12s %s\n' "$(steps_elapsed $((SECONDS - STEPS_STARTED)))" "$name" "$what"
  : >"$log"
  steps_heartbeat "$name" "$log" 2>/dev/null &
  local heart=$!
  # Not "( ... ) || rc=$?": there bash ignores -e inside, and a step would go on after a failed command.
  set +e
  (set -euo pipefail; "$@") </dev/null >"$log" 2>&1
  rc=$?
  set -e
  pkill -P "$heart" 2>/dev/null || true
  kill "$heart" 2>/dev/null || true
  wait "$heart" 2>/dev/null || true
  local took
  took=$(steps_elapsed $((SECONDS - started)))
  if ((rc != 0)); then
    echo "---- end of $log"
    tail -n "${STEPS_TAIL:-40}" "$log"
    echo "----"
    echo "FAILED: step \"$name\" of $STEPS_TITLE after $took (exit status $rc)"
    echo "  log:    $log"
    echo "  repeat: $STEPS_REPEAT $name"
    exit 1
  fi
  grep '^SKIPPED' "$log" || true
  STEPS_DONE+=("$(printf '  %-12s %s' "$name" "$took")")
}

steps_end() {
  if ((STEPS_MATCHED == 0)); then
    echo "no step is called \"$STEPS_ONLY\"" >&2
    exit 2
  fi
  echo
  echo "$STEPS_TITLE: done in $(steps_elapsed $((SECONDS - STEPS_STARTED)))"
  printf '%s\n' "${STEPS_DONE[@]}"
}
