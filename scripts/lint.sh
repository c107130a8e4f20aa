#!/usr/bin/env bash
# clang-tidy with the short list of .clang-tidy.   scripts/lint.sh BUILD_DIRECTORY FILE...
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
[ $# -gt 0 ] || { echo "clang-tidy: nothing changed"; exit 0; }
if ! scripts/each_file.py "$build" scripts/as_compiler/clang_tidy.sh "$@" >&2; then
  echo "clang-tidy: findings above; fix them, or add NOLINT(check) with the reason on the line" >&2
  exit 1
fi
echo "clang-tidy: $# files, 0 findings"
