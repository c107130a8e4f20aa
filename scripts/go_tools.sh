#!/usr/bin/env bash
# Builds the clients, the conformance program and the peers of the bench that are written in Go into .cache/tools. What is
# there in the right version is left alone.
#   scripts/go_tools.sh [crane|oras|regctl|cosign|helm|conformance|stargz-fetch|buildx|kaniko|buildctl|buildkitd|crictl|crio|pinns|registry|zot|zot-sync|zb]...      (default: the first seven)
set -euo pipefail
cd "$(dirname "$0")/.."

module() {
  case "$1" in
    crane) echo github.com/google/go-containerregistry/cmd/crane@v0.21.9 ;;
    oras) echo oras.land/oras/cmd/oras@v1.3.3 ;;
    regctl) echo github.com/regclient/regclient/cmd/regctl@v0.11.5 ;;
    cosign) echo github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3 ;;
    helm) echo helm.sh/helm/v3/cmd/helm@v3.18.4 ;;
    conformance) echo github.com/opencontainers/distribution-spec/conformance@v0.0.0-20260831232431-97274622c111 ;;
    buildx) echo github.com/docker/buildx/cmd/buildx@v0.30.1 ;;
    kaniko) echo github.com/GoogleContainerTools/kaniko/cmd/executor@v1.24.0 ;;
    buildctl) echo github.com/moby/buildkit/cmd/buildctl@v0.26.1 ;;
    buildkitd) echo github.com/moby/buildkit/cmd/buildkitd@v0.26.1 ;;
    crio | pinns) echo "github.com/cri-o/cri-o/$1@v1.34.0" ;;
    crictl) echo sigs.k8s.io/cri-tools/cmd/crictl@v1.34.0 ;;
    stargz-fetch) echo "this tree's, $(cat tests/clients/stargz-fetch/* | sha256sum | cut -c1-16)" ;;
    registry) echo github.com/distribution/distribution/v3/cmd/registry@v3.1.1 ;;
    zot | zot-sync) echo zotregistry.dev/zot/v2/cmd/zot@v2.1.20 ;;   # zot-sync: with its sync extension
    zb) echo zotregistry.dev/zot/v2/cmd/zb@v2.1.20 ;;
    *) echo "go_tools.sh: there is no tool '$1'; the tools are crane, oras, regctl, cosign, helm, conformance, stargz-fetch, buildx, kaniko, buildctl, buildkitd, crictl, crio, pinns, registry, zot, zot-sync, zb" >&2
       return 2 ;;
  esac
}

tools=$PWD/.cache/tools
mkdir -p "$tools"
[ $# -gt 0 ] || set -- crane oras regctl cosign helm conformance stargz-fetch

missing=()
for name in "$@"; do
  wanted=$(module "$name")
  [ -x "$tools/$name" ] && [ "$(cat "$tools/$name.version" 2>/dev/null)" = "$wanted" ] || missing+=("$name")
done
[ ${#missing[@]} -gt 0 ] || exit 0

# Go: what is there if it is new enough, else Debian's. Where that is too old (Debian 12: 1.19), it fetches a newer one as the
# module as which the Go project publishes its toolchains, which later versions of Go do by themselves.
oldest=go1.24 newer=go1.26.8
PATH=$PWD/.cache/go/bin:$PATH:/usr/local/go/bin
go_version() { GOTOOLCHAIN=local go env GOVERSION 2>/dev/null || true; }
new_enough() { printf '%s\n' "$oldest" "$(go_version)" | sort -VC; }

fetch_go() {
  local module source
  module=golang.org/toolchain@v0.0.1-$newer.linux-$(go env GOARCH)
  echo "Fetching $module: $(go_version) is too old to build ${missing[*]}"
  source=$(cd / && go mod download -json "$module" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p') || true
  [ -d "$source" ] || { echo "go_tools.sh: $module could not be fetched (the reason is above)" >&2; return 1; }
  rm -rf .cache/go
  cp -r "$source" .cache/go
  # A module has neither programs nor a go.mod within.
  chmod -R u+w .cache/go
  chmod +x .cache/go/bin/* .cache/go/pkg/tool/*/*
  for name in src src/cmd; do cp ".cache/go/$name/_go.mod" ".cache/go/$name/go.mod"; done
}

if ! new_enough; then
  command -v go >/dev/null || scripts/dependencies.sh go
  new_enough || fetch_go
  hash -r
  if ! new_enough; then
    echo "go_tools.sh: Go ${oldest#go} or later is needed to build ${missing[*]}; $(go_version) was found, and a newer one could not be had." >&2
    echo "  Install it from https://go.dev/doc/install so that 'go' is on the PATH, then run this again." >&2
    exit 1
  fi
fi

# build_source MODULE PACKAGE VERSION NAME [TAGS]: what `go install` refuses, for a go.mod that excludes or replaces, or cannot do,
# built in a copy of the module's own source with its own go.sum. A package that is no Go is C.
build_source() {
  local source copy
  source=$(go mod download -json "$1@$3" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
  [ -d "$source" ] || { echo "go_tools.sh: the source of $1@$3 could not be fetched" >&2; return 1; }
  copy=$(mktemp -d)
  cp -r "$source/." "$copy"
  chmod -R u+w "$copy"
  local code=0
  if compgen -G "$copy/$2/*.c" >/dev/null; then
    clang-19 -std=c99 -Os "$copy/$2"/*.c -o "$tools/$4" || code=$?
  else
    (cd "$copy" && CGO_ENABLED=0 go build -buildvcs=false -tags "${5-}" -o "$tools/$4" "./$2") || code=$?
  fi
  rm -rf "$copy"
  return "$code"
}

for name in "${missing[@]}"; do
  wanted=$(module "$name")
  echo "Building $name: $wanted"
  settings=(GOBIN="$tools")
  case "$name" in zot | zot-sync | zb) settings+=(CGO_ENABLED=0 GOEXPERIMENT=jsonv2) ;; esac   # what zot's own build uses
  case "$name" in
    buildx) build_source github.com/docker/buildx cmd/buildx "${wanted#*@}" buildx ;;
    buildctl | buildkitd) build_source github.com/moby/buildkit "cmd/$name" "${wanted#*@}" "$name" ;;
    kaniko) build_source github.com/GoogleContainerTools/kaniko cmd/executor "${wanted#*@}" kaniko ;;
    crio) build_source github.com/cri-o/cri-o cmd/crio "${wanted#*@}" crio "containers_image_openpgp containers_image_ostree_stub exclude_graphdriver_btrfs" ;;
    pinns) build_source github.com/cri-o/cri-o pinns/src "${wanted#*@}" pinns ;;
    zot-sync)
      apart=$(mktemp -d)
      env "${settings[@]}" GOBIN="$apart" go install -tags sync "$wanted"
      mv "$apart/zot" "$tools/zot-sync"
      rmdir "$apart" ;;
    stargz-fetch) (cd tests/clients/stargz-fetch && CGO_ENABLED=0 go build -buildvcs=false -o "$tools/stargz-fetch" .) ;;
    *) env "${settings[@]}" go install "$wanted" ;;
  esac
  echo "$wanted" > "$tools/$name.version"
done
