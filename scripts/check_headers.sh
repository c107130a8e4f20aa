#!/usr/bin/env bash
# Every header compiles on its own: it includes what it uses.   scripts/check_headers.sh [BUILD_DIRECTORY]
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t headers < <(find base policy http storage audit auth registry mirror gc api server cli -name '*.hpp' | sort)
# -include rather than the header as the main file: #pragma once in a main file is a warning.
if ! printf '%s\n' "${headers[@]}" |
    xargs -P "$(nproc)" -I{} clang++-19 -std=c++20 -fsyntax-only -Wall -Wextra -I. -include {} -x c++ /dev/null; then
  echo "headers: those above do not compile on their own; add the missing #include to the header itself" >&2
  exit 1
fi
echo "headers: ${#headers[@]} compile on their own"
