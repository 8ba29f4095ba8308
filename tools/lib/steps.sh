# shellcheck shell=bash
# Steps with progress: sourced by tools/test and demo/up.
#
#   steps_begin "make test" "$log_dir" "tools/test --only"
#   aside NAME "what it does" command [args...]   # a program, not a function: goes on beside the next steps
#   step NAME "what it does" command [args...]
#   await NAME                                    # the end of what was begun aside
#   steps_end
#
# A step's output goes to its log; a failed one prints the end of it, the log's name and the command that
# repeats it alone (all of it where there is no --only). Lines of it that begin with SKIPPED are shown.
# STEPS_ONLY names a single step to run.
# No step inherits descriptor 7, the heartbeat's, or 8, where the program may hold a lock: both end with it.

steps_begin() {
  STEPS_TITLE=$1 STEPS_LOGS=$2 STEPS_REPEAT=$3
  STEPS_STARTED=$SECONDS STEPS_DONE=() STEPS_MATCHED=0
  declare -gA STEPS_ASIDE=() STEPS_ASIDE_BEGAN=()
  trap steps_stop_asides EXIT
  trap 'exit 130' INT # or bash forgets a Ctrl-C that the step's program did not die of
  mkdir -p "$STEPS_LOGS"
}

# However this ends, nothing of it goes on.
steps_stop_asides() {
  local name
  steps_stop_heartbeat
  for name in "${!STEPS_ASIDE[@]}"; do
    echo "stopping $name"
    kill -TERM "${STEPS_ASIDE[$name]}" 2>/dev/null || true
  done
  wait "${STEPS_ASIDE[@]}" 2>/dev/null || true
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

# Says every minute that a long step still runs, and its last line; ends with its input.
steps_heartbeat() {
  local name=$1 log=$2 started=$3 rc
  while rc=0; read -r -t 60 || rc=$?; ((rc > 128)); do
    printf '    %s: %s so far: %s\n' "$name" "$(steps_elapsed $((SECONDS - started)))" \
      "$(tail -n 1 "$log" | tr -d '\r' | cut -c1-100)"
  done
}

# Whether the step is asked for.
steps_wants() {
  [[ -z ${STEPS_ONLY:-} || $STEPS_ONLY == "$1" ]] || return 1
  STEPS_MATCHED=1
}

steps_say() {
  printf '[%s] %-12s %s\n' "$(steps_elapsed $((SECONDS - STEPS_STARTED)))" "$1" "$2"
}

# The settings that the user gave, to stand before a command.
steps_settings() {
  local name
  for name in $(compgen -e | grep -xE 'HAMI_.*|DEMO_VALUES|IMAGE_REGISTRY|KUBECONFIG'); do
    printf '%s=%q ' "$name" "${!name}"
  done
}

# steps_finish NAME EXIT-STATUS SECONDS [REMARK]
steps_finish() {
  local name=$1 rc=$2 log=$STEPS_LOGS/$1.log remark=${4:-} took
  took=$(steps_elapsed "$3")
  if ((rc != 0)); then
    echo "---- end of $log"
    tail -n "${STEPS_TAIL:-40}" "$log"
    echo "----"
    echo "FAILED: step \"$name\" of $STEPS_TITLE after $took (exit status $rc)"
    echo "  log:    $log"
    [[ $STEPS_REPEAT == *--only ]] || name=
    echo "  repeat: $(steps_settings)$STEPS_REPEAT${name:+ $name}"
    exit 1
  fi
  grep '^SKIPPED' "$log" || true
  STEPS_DONE+=("$(printf '  %-12s %s' "$name" "$took$remark")")
}

# steps_with_heartbeat NAME SECONDS-AT-START command: sets STEPS_RC to its exit status.
steps_with_heartbeat() {
  local name=$1 started=$2
  shift 2
  exec 7> >(steps_heartbeat "$name" "$STEPS_LOGS/$name.log" "$started" 2>/dev/null)
  STEPS_HEART=$!
  # Not "( ... ) || rc=$?": there bash ignores -e inside, and a step would go on after a failed command.
  set +e
  "$@"
  STEPS_RC=$?
  set -e
  steps_stop_heartbeat
}
steps_stop_heartbeat() {
  [[ -n ${STEPS_HEART:-} ]] || return 0
  exec 7>&-
  wait "$STEPS_HEART" 2>/dev/null || true
  STEPS_HEART=
}

step() {
  steps_wants "$1" || return 0
  local name=$1 started=$SECONDS aside
  for aside in "${!STEPS_ASIDE[@]}"; do # one that has failed meanwhile is told at once
    kill -0 "${STEPS_ASIDE[$aside]}" 2>/dev/null || await "$aside"
  done
  steps_say "$name" "$2"
  shift 2
  : >"$STEPS_LOGS/$name.log"
  steps_with_heartbeat "$name" "$started" steps_run "$name" "$@"
  steps_finish "$name" "$STEPS_RC" $((SECONDS - started))
}
steps_run() {
  local log=$STEPS_LOGS/$1.log
  shift
  (set -euo pipefail; trap 'exit 130' INT; "$@") </dev/null >"$log" 2>&1 7>&- 8>&-
}

aside() {
  steps_wants "$1" || return 0
  local name=$1
  steps_say "$name" "$2 (beside the next steps)"
  shift 2
  (exec "$@") </dev/null >"$STEPS_LOGS/$name.log" 2>&1 7>&- 8>&- &
  STEPS_ASIDE[$name]=$! STEPS_ASIDE_BEGAN[$name]=$SECONDS
}

await() {
  local name=$1 pid=${STEPS_ASIDE[$1]:-}
  [[ -n $pid ]] || return 0
  steps_with_heartbeat "$name" "${STEPS_ASIDE_BEGAN[$name]}" wait "$pid"
  unset "STEPS_ASIDE[$name]"
  steps_finish "$name" "$STEPS_RC" $((SECONDS - STEPS_ASIDE_BEGAN[$name])) " (beside others)"
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
