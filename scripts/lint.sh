#!/usr/bin/env bash
# clang-tidy, two files at a time, with the short list of .clang-tidy.   scripts/lint.sh BUILD_DIRECTORY FILE...
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
[ $# -gt 0 ] || { echo "clang-tidy: nothing changed"; exit 0; }
# The count of suppressed warnings in system headers is noise; what remains is a finding.
if ! printf '%s\n' "$@" | xargs -P "$(nproc)" -n 2 clang-tidy-19 -p "$build" --quiet 2> >(grep -vE '^[0-9]+ warnings? generated|^$' >&2); then
  echo "clang-tidy: findings above; fix them, or add NOLINT(check) with the reason on the line" >&2
  exit 1
fi
echo "clang-tidy: $# files, 0 findings"
