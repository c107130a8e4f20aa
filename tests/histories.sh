#!/usr/bin/env bash
# Random histories of pushes, deletions and policy changes against a model, and races for the first push of a tag, longer
# than in `make test`.   tests/histories.sh OPERATIONS RACES
set -uo pipefail
cd "$(dirname "$0")/.."
if STELE_OPERATIONS=$1 STELE_RACES=$2 build/release/tests/test_registry "tag rules: of 32*,tag rules: random histories*" \
    --durations yes; then
  echo "histories: 2 passed, 0 failed"
else
  echo "histories: 0 passed, 1 failed"
  exit 1
fi
