#!/bin/bash
# Builds the fuzz targets and runs each for the given number of seconds (default 60), two at a time.
# Usage: tests/fuzz/run.sh [SECONDS [TARGET...]]
# A failing input is kept in build/fuzz/failures/<target>/; put it into seeds/<target>/ together with the repair.
set -u
cd "$(dirname "$0")/../.."
seconds=${1:-60}
shift $(($# > 0 ? 1 : 0))
build=build/fuzz
all=(reference manifest range request config policy import image id_token)
targets=("${@:-${all[@]}}")

cmake --preset fuzz >/dev/null && ninja -C "$build" "${targets[@]/#/fuzz_}" || { echo "fuzz: the build failed"; exit 1; }

declare -A max_len=([reference]=400 [manifest]=8192 [range]=512 [request]=8192 [config]=4096 [policy]=4096 [import]=4096 [image]=1100 [id_token]=4096)

run_one() {
  local name=$1 corpus=$build/corpus/$1 failures=$build/failures/$1 options=()
  mkdir -p "$corpus" "$failures" "$build/grown/$name"
  tar -xJf "tests/fuzz/corpus/$name.tar.xz" -C "$build/grown/$name"
  [ -f "tests/fuzz/seeds/$name.dict" ] && options+=("-dict=tests/fuzz/seeds/$name.dict")
  if "$build/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -max_len="${max_len[$name]}" -timeout=10 \
    -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 -artifact_prefix="$failures/" "${options[@]}" \
    "$corpus" "tests/fuzz/seeds/$name" "$build/grown/$name" >"$build/$name.log" 2>&1; then
    echo "fuzz $name: passed, $(sed -n 's/^stat::number_of_executed_units: *//p' "$build/$name.log") inputs"
  else
    echo "fuzz $name: FAILED; input in $failures/, log in $build/$name.log:"
    grep -E 'not so:|Assertion|ERROR:|SUMMARY:|runtime error|what\(\)' "$build/$name.log" | head -5
    return 1
  fi
}

passed=0
failed=0
collect() {
  if wait -n; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}
running=0
for name in "${targets[@]}"; do
  if [ "$running" -eq 2 ]; then
    collect
    running=1
  fi
  run_one "$name" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  collect
  running=$((running - 1))
done
echo "fuzz: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
