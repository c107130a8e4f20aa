#!/usr/bin/env bash
# Runs .ci/run on a clean clone of HEAD as a stranger's machine would: CI=true, no input, an empty environment. The log is
# build/ci/gate.log, the result build/ci/last: commit, verdict, the table.
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
head=$(git rev-parse HEAD) || exit 2
scripts/dependencies.sh check || exit 2
mkdir -p build/ci
# Two runs would write one log. Whatever the gate starts holds this too: a run whose script was killed is seen.
exec {lock}>build/ci/lock
flock --nonblock "$lock" || { echo "ci.sh: another run of the gate is at work in this checkout: $(cat build/ci/running 2>/dev/null)" >&2; exit 2; }
work=$(mktemp -d "${TMPDIR:-/tmp}/stele-ci.XXXXXX")
gate=
# Ends what the gate started, and only that: all of it is in one session.
end() {
  trap '' INT TERM HUP
  if [ -n "$gate" ]; then
    pkill -TERM --session "$gate"
    for _ in {1..50}; do pgrep --session "$gate" >/dev/null || break; sleep 0.1; done
    pkill -KILL --session "$gate"
  fi
  rm -rf "$work" build/ci/running
}
trap end EXIT
trap 'echo "ci.sh: interrupted; what it started is being ended" >&2; exit 130' INT TERM HUP
[ -z "$(git status --porcelain)" ] || echo "There are uncommitted changes: they are no part of this run."
git clone -q "$top" "$work/main" && git -C "$work/main" checkout -q --detach "$head" || exit 2
echo "The gate runs on $head; its log is build/ci/gate.log"
began=$SECONDS
# How this machine reaches its package registries is not of this checkout.
mapfile -t kept < <(env | grep -E '^(HOME|PATH|TMPDIR|SSL_CERT_(FILE|DIR)|GOPROXY|GOFLAGS|(HTTPS?|NO)_PROXY|(https?|no)_proxy)=')
(cd "$work/main" && exec env -i --default-signal=INT,QUIT "${kept[@]}" LANG=C.UTF-8 CI=true setsid bash .ci/run) \
  </dev/null >build/ci/gate.log 2>&1 &
gate=$!
echo "process $gate, in $work, since $(date -u +%FT%TZ)" >build/ci/running
wait "$gate"   # a signal ends the wait, not only the gate
code=$?
rm -rf build/ci/logs && cp -r "$work/main/build/ci" build/ci/logs 2>/dev/null
verdict=red
[ "$code" = 0 ] && verdict=green
{
  echo "$head $verdict (status $code) after $((SECONDS - began)) s, $(date -u +%FT%RZ)"
  sed -n '/^== summary/,$p' build/ci/gate.log
} | tee build/ci/last
exit "$code"
