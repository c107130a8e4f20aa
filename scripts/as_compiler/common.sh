# For the scripts beside this: $file, $object and the other ${arguments[@]} of a compiler's command line. What asks for
# preprocessing goes on to the compiler itself, since that is how the compiler cache learns what a file includes; with the
# comments, in which NOLINT stands.
arguments=()
file= object=
for word in "$@"; do
  [ "$word" != -E ] || exec clang++-19 -C "$@"
done
while [ $# -gt 0 ]; do
  case $1 in
    -c | -fcolor-diagnostics) ;;
    -o) object=$2; shift ;;
    -include | -Xclang | -isystem | -I | -D | -x) arguments+=("$1" "$2"); shift ;;
    -*) arguments+=("$1") ;;
    *) file=$1 ;;   # the cache writes it last
  esac
  shift
done
