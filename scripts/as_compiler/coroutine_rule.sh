#!/usr/bin/env bash
# The clang-query script of scripts/coroutine_rule with a compiler's arguments (scripts/each_file.py).
#   coroutine_rule.sh --what | ARGUMENTS... -c FILE -o OBJECT
set -euo pipefail
here=$(dirname "$0")
rule=$here/../coroutine_rule/rule.query
if [ "$1" = --what ]; then
  { clang-query-19 --version; cat "$0" "$here/common.sh" "$here/../coroutine_findings.awk" "$rule"; } | sha256sum
  exit
fi
source "$here/common.sh"
found=$(clang-query-19 -f "$rule" "$file" -- "${arguments[@]}" -w 2>&1 | awk -f "$here/../coroutine_findings.awk" | sort -u)
[ -z "$found" ] || { echo "$found" >&2; exit 1; }
echo "nothing found" >"$object"   # an empty one would not be kept
