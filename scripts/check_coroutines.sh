#!/usr/bin/env bash
# Runs the clang-query script of scripts/coroutine_rule over those of the files that are or declare a coroutine, after
# proving on its two fixtures that it finds what it should and nothing else.
#   scripts/check_coroutines.sh BUILD_DIRECTORY FILE...
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
shift
rule=scripts/coroutine_rule

# Prints "file:line kind" for each finding.
findings() {
  clang-query-19 -f $rule/rule.query "$@" 2>&1 | awk -f scripts/coroutine_findings.awk | sed "s#^$PWD/##" | sort -u
}

expected=$(grep -n '// flagged$' $rule/flagged.cpp | cut -d: -f1)
found=$(findings $rule/flagged.cpp -- -std=c++20 | grep -o 'flagged.cpp:[0-9]*' | cut -d: -f2 | sort -nu)
if [ "$expected" != "$found" ]; then
  echo "coroutine rule: the fixture flagged.cpp should be flagged at lines" $expected "and was at" $found >&2
  exit 1
fi
wrong=$(findings $rule/accepted.cpp -- -std=c++20)
if [ -n "$wrong" ]; then
  printf 'coroutine rule: accepted.cpp should have no finding and has\n%s\n' "$wrong" >&2
  exit 1
fi

mapfile -t files < <([ $# -eq 0 ] || grep -lE 'co_await|co_return|Task<' "$@" | grep -v "^$rule/" | sort)
[ ${#files[@]} -gt 0 ] || { echo "coroutine rule: no coroutine changed"; exit 0; }
if ! scripts/each_file.py "$build" scripts/as_compiler/coroutine_rule.sh "${files[@]}" >&2; then
  echo "coroutine rule: name the owning temporary before the expression with co_await or co_return (docs/decisions/001-coroutines.md says why)" >&2
  exit 1
fi
echo "coroutine rule: ${#files[@]} files, 0 findings"
