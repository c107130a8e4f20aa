#!/usr/bin/env bash
# Runs .ci/run on a clean clone of HEAD as a stranger's machine would: CI=true, no input, an empty environment. The log is
# build/ci/gate.log, the result build/ci/last: commit, verdict, the table.
set -uo pipefail
cd "$(dirname "$0")/.."
top=$PWD
head=$(git rev-parse HEAD) || exit 2
work=$(mktemp -d "${TMPDIR:-/tmp}/stele-ci.XXXXXX")
trap 'rm -rf "$work"' EXIT
[ -z "$(git status --porcelain)" ] || echo "There are uncommitted changes: they are no part of this run."
git clone -q "$top" "$work/main" && git -C "$work/main" checkout -q --detach "$head" || exit 2
mkdir -p build/ci
echo "The gate runs on $head; its log is build/ci/gate.log"
began=$SECONDS
# How this machine reaches its package registries is not of this checkout.
mapfile -t kept < <(env | grep -E '^(HOME|PATH|TMPDIR|SSL_CERT_(FILE|DIR)|GOPROXY|GOFLAGS|(HTTPS?|NO)_PROXY|(https?|no)_proxy)=')
(cd "$work/main" && exec env -i "${kept[@]}" LANG=C.UTF-8 CI=true bash .ci/run) \
  </dev/null >build/ci/gate.log 2>&1
code=$?
rm -rf build/ci/logs && cp -r "$work/main/build/ci" build/ci/logs 2>/dev/null
verdict=red
[ "$code" = 0 ] && verdict=green
{
  echo "$head $verdict (status $code) after $((SECONDS - began)) s, $(date -u +%FT%RZ)"
  sed -n '/^== summary/,$p' build/ci/gate.log
} | tee build/ci/last
exit "$code"
