#!/bin/bash
# What the last `make fuzz` found is kept: of everything that lies in build/fuzz/corpus/ and was kept before, the smallest set that
# reaches the same code, as corpus/<target>.tar.xz. Runs of CI go through it once, under the sanitizers, and the next run starts from it.
# Usage: tests/fuzz/grow.sh [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/../.."
build=build/fuzz
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(reference manifest range request config policy import image id_token)
for name in "${targets[@]}"; do
  merged=$(mktemp -d)
  mkdir "$merged/all" "$merged/kept" "$merged/old"
  tar -xJf "tests/fuzz/corpus/$name.tar.xz" -C "$merged/old"
  "$build/tests/fuzz/fuzz_$name" -merge=1 "$merged/all" "$merged/old" "$build/corpus/$name" 2>"$build/$name.merge.log"
  number=0
  for file in "$merged"/all/*; do   # named by their place: the same set is the same archive
    mv "$file" "$merged/kept/$(printf %04d $number)"
    number=$((number + 1))
  done
  tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$merged/kept" -cJf "tests/fuzz/corpus/$name.tar.xz" .
  echo "$name: $number inputs"
  rm -rf "$merged"
done
