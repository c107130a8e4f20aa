#!/usr/bin/env bash
# Everything that the source is held to; all of it runs, then one count. What takes a compiler (headers, clang-tidy, the
# coroutine rule) reads what changed since main's last landing (scripts/changed.sh), or everything.   scripts/check.sh [--whole]
set -uo pipefail
cd "$(dirname "$0")/.."
folders=(base config policy http storage audit auth registry mirror gc api server cli)
build=build/check    # never built: what the tools need to know is how each file would be compiled
passed=0
failed=()

check() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed+=("$name"); fi
}

formatted() {
  local files
  mapfile -t files < <(git ls-files --cached --others --exclude-standard '*.hpp' '*.cpp')
  clang-format-19 --dry-run -Werror "${files[@]}" || { echo "format: run 'make format'" >&2; return 1; }
  echo "format: ${#files[@]} files"
}

if [ "${1:-}" = --whole ]; then
  mapfile -t lint < <(find "${folders[@]}" -name '*.cpp' | sort)
  mapfile -t query < <(find "${folders[@]}" tests bench -name '*.[ch]pp' | sort)
  mapfile -t headers < <(find "${folders[@]}" -name '*.hpp' | sort)
else
  # In two steps: a failure inside <(…) would pass for "nothing changed".
  changed_lint=$(scripts/changed.sh "${folders[@]/%//**.cpp}") && changed_query=$(scripts/changed.sh '*.cpp' '*.hpp') &&
    changed_headers=$(scripts/changed.sh "${folders[@]/%//**.hpp}") ||
    { echo "check: scripts/changed.sh failed" >&2; exit 1; }
  mapfile -t lint < <(printf '%s' "$changed_lint")
  mapfile -t query < <(printf '%s' "$changed_query")
  mapfile -t headers < <(printf '%s' "$changed_headers")
fi

check "format" formatted
check "include rule, self-test" scripts/check_includes.py --self-test
check "include rule" scripts/check_includes.py .
check "sizes, self-test" scripts/check_sizes.py --self-test
check "sizes" scripts/check_sizes.py .
check "mutations apply" tests/mutations/run.py --check
check "headers" scripts/check_headers.sh "${headers[@]}"
check "configure" cmake --preset release -B "$build" -DSTELE_PRECOMPILE=OFF --log-level=WARNING
check "coroutine rule" scripts/check_coroutines.sh "$build" "${query[@]}"
check "clang-tidy" scripts/lint.sh "$build" "${lint[@]}"

[ ${#failed[@]} -eq 0 ] || printf 'check: failed: %s\n' "${failed[*]}" >&2
echo "check: $passed passed, ${#failed[@]} failed"
[ ${#failed[@]} -eq 0 ]
