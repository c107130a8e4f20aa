#!/usr/bin/env bash
# Everything that `make check` holds the source to; all of it runs, then one answer.   scripts/check.sh BUILD_DIRECTORY
set -uo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/release}
failed=()

check() {
  local name=$1
  shift
  echo "== $name"
  "$@" || failed+=("$name")
}

formatted() {
  local files
  mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.hpp' '*.cpp')
  clang-format-19 --dry-run -Werror "${files[@]}" || { echo "format: run 'make format'" >&2; return 1; }
  echo "format: ${#files[@]} files"
}

check "format" formatted
check "include rule, self-test" scripts/check_includes.py --self-test
check "include rule" scripts/check_includes.py .
check "headers" scripts/check_headers.sh
check "coroutine rule" scripts/check_coroutines.sh "$build"
check "clang-tidy" scripts/lint.sh "$build"

if [ ${#failed[@]} -gt 0 ]; then
  printf 'check: failed: %s\n' "${failed[*]}" >&2
  exit 1
fi
echo "check: all passed"
