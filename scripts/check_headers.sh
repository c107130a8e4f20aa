#!/usr/bin/env bash
# Every header compiles on its own: it includes what it uses.   scripts/check_headers.sh HEADER...
set -euo pipefail
cd "$(dirname "$0")/.."
headers=("$@")
[ ${#headers[@]} -gt 0 ] || { echo "headers: none changed"; exit 0; }
# As the first thing of an empty file, since #pragma once in a main file is a warning; compiled rather than parsed, so that
# the compiler cache, asked without preprocessing first, knows those that did before.
scratch=build/headers
mkdir -p "$scratch"
touch "$scratch/empty.cpp"
export scratch CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1 CCACHE_DEPEND=1
if ! printf '%s\n' "${headers[@]}" | xargs -P "$(nproc)" -I{} bash -c 'header={} object=$scratch/${header//\//-}
    ccache clang++-19 -std=c++20 -Wall -Wextra -Werror -I. -include "$header" -c "$scratch/empty.cpp" -MD -MF "$object.d" -o "$object.o"'; then
  echo "headers: those above do not compile on their own; add the missing #include to the header itself" >&2
  exit 1
fi
echo "headers: ${#headers[@]} compile on their own"
