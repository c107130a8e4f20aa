#!/usr/bin/env bash
# Random histories of a registry under lifecycle, with the collector at work, against a simple model, longer than in `make
# test`; a quarter of them with kills; and a tenth more with clients beside each other.   tests/lifecycle_histories.sh OPERATIONS
# TEST_SEED=n: only the history that a failure named.
set -uo pipefail
cd "$(dirname "$0")/.."
cases=3
log=$(mktemp)
trap 'rm -f "$log"' EXIT
STELE_LIFECYCLE_OPERATIONS=$1 build/release/tests/test_gc "lifecycle histories*" --durations yes 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
failed=$(sed -nE 's/^test cases: .* ([0-9]+) failed.*/\1/p' "$log" | tail -n 1)
failed=${failed:-0}
if [ "$code" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
echo "lifecycle histories: $((cases - failed)) passed, $failed failed"
exit "$code"
