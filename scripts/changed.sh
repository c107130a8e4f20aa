#!/usr/bin/env bash
# The files that changed since main's last landing: since the newest commit that is four hours older than HEAD, more than
# a sitting takes. A function of the history, not of the clock.   scripts/changed.sh [PATHSPEC]...
set -euo pipefail
cd "$(dirname "$0")/.."
head=$(git log -1 --format=%ct)
base=$(git log --format='%H %ct' | awk -v limit=$((head - 4 * 3600)) '!found && $2 < limit { print $1; found = 1 }')   # to the end: who writes into a closed pipe fails
# Without one, as in a shallow clone, everything counts as changed.
[ -n "$base" ] || base=$(git hash-object -t tree /dev/null)
{
  git diff --name-only --diff-filter=d "$base" -- "$@"
  git ls-files --others --exclude-standard -- "$@"
} | sort -u
