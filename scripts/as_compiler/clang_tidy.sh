#!/usr/bin/env bash
# clang-tidy with a compiler's arguments (scripts/each_file.py).   clang_tidy.sh --what | ARGUMENTS... -c FILE -o OBJECT
set -euo pipefail
here=$(dirname "$0")
if [ "$1" = --what ]; then
  { clang-tidy-19 --version; cat "$0" "$here/common.sh" "$here/../../.clang-tidy"; } | sha256sum
  exit
fi
source "$here/common.sh"
# The count of suppressed warnings in system headers is noise; what remains is a finding.
said=$(clang-tidy-19 --quiet "$file" -- "${arguments[@]}" 2>&1) || { grep -vE '^[0-9]+ warnings? generated|^$' <<<"$said" >&2; exit 1; }
echo "nothing found" >"$object"   # an empty one would not be kept
