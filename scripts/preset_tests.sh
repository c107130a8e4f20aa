#!/usr/bin/env bash
# The tests in the build tree of a preset with a sanitizer, or another compiler.
#   scripts/preset_tests.sh PRESET [TARGETS [CTEST_ARGUMENTS...]]      (default: everything)
# TEST_EVERY=n: of the exhaustive tests, which `make test` runs in full, each n-th case (tests/support/effort.hpp).
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
case $preset in
  asan-ubsan) targets=(stele test_programs fuzz_all) ;;   # the fuzz corpora are run through once
  *) targets=(stele test_programs) ;;
esac
[ $# -lt 2 ] || read -ra targets <<<"$2"
shift $(($# < 2 ? $# : 2))
# Reports of 64 MB, which cli. sends, take minutes in an instrumented program; rules. does not run any.
[ $# -gt 0 ] || set -- --exclude-regex '^(rules|cli)'

# What a sanitizer finds must end the process with a status that ctest sees.
export ASAN_OPTIONS=detect_stack_use_after_return=1 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
scripts/dependencies.sh build test sanitizers
cmake --preset "$preset" --log-level=WARNING
cmake --build "build/$preset" --target "${targets[@]}"
exec scripts/run_ctest.py "build/$preset" "$@"
