#!/usr/bin/env bash
# Every moment at which a registry under load can lose its power or be killed, replayed, more of them than in `make test`.
#   tests/power_cuts.sh STATES
set -uo pipefail
cd "$(dirname "$0")/.."
if STELE_CRASH_STATES=$1 build/release/tests/test_registry "power cut*" --durations yes; then
  echo "power cuts: 2 passed, 0 failed"
else
  echo "power cuts: 0 passed, 1 failed"
  exit 1
fi
