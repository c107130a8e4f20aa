#!/usr/bin/env bash
# The files that changed since main's last landing, which .ci/landed names: the first commit of a piece of work writes
# there where main stood. A function of the history, not of the clock. When the line is old, more counts as changed; when
# it names no ancestor of HEAD, everything.   scripts/changed.sh [PATHSPEC]...
set -euo pipefail
cd "$(dirname "$0")/.."
base=$(cat .ci/landed)
git merge-base --is-ancestor "$base" HEAD 2>/dev/null || base=$(git hash-object -t tree /dev/null)
{
  git diff --name-only --diff-filter=d "$base" -- "$@"
  git ls-files --others --exclude-standard -- "$@"
} | sort -u
