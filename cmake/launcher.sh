#!/bin/bash
# CMake's compiler launcher: ccache, for which the same source is the same in whatever folder it lies.
#   launcher.sh SOURCE_FOLDER COMPILER ARGUMENTS...
# What ccache 4.7 cannot see by itself: a path behind -Xclang is made relative here; the text of a precompiled header,
# which CMake includes once more, names its folder and is left out, since Clang has it from -include-pch; and a
# precompiled header, whose bytes name its folder too, counts as what it was made of (its .sum file, CCACHE_PCH_EXTSUM).
export CCACHE_BASEDIR="$1" CCACHE_NOHASHDIR=1 CCACHE_PCH_EXTSUM=1
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
shift
if [[ " $* " == *" -emit-pch "* ]]; then
  "$@" || exit
  while [ $# -gt 1 ]; do
    case $1 in
      -o) output=$2 ;;
      -MF) dependencies=$2 ;;
    esac
    shift
  done
  # Headers outside the build folder: those in it only include them, by their absolute paths.
  sed -e 's/^[^:]*://' -e 's/\\$//' "$dependencies" | tr -s ' ' '\n' | grep '^/' | grep -v "^$PWD/" |
    xargs sha256sum | cut -c1-64 | sort | sha256sum >"$output.sum"
  exit
fi
arguments=()
while [ $# -gt 0 ]; do
  if [ "$1 $2 $3" = "-Xclang -include -Xclang" ] && [[ "$4" == */cmake_pch.hxx ]]; then
    shift 4
  else
    arguments+=("${1#"$PWD"/}")
    shift
  fi
done
exec ccache "${arguments[@]}"
