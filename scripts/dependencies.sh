#!/usr/bin/env bash
# Installs the Debian packages that the named groups need, and nothing else: one apt-get call, only for
# what is missing, said aloud first. Package sources are never touched.
#   scripts/dependencies.sh [build|test|check|sanitizers|clients|deb|package|browser|proxies|active-directory|bench|go]...      (default: build)
set -euo pipefail

# Boost ≥ 1.81 has another name on Debian 12, whose plain libboost-dev is 1.74.
. /etc/os-release
release="${ID:-unknown}-${VERSION_ID:-}"
boost=libboost-dev
[ "$release" = debian-12 ] && boost=libboost1.81-dev
# Debian 13 split the docker command from its daemon.
docker_cli=docker-cli
[ "$release" = debian-12 ] && docker_cli=

packages() {
  case "$1" in
    build) echo clang-19 lld-19 ccache ninja-build cmake make pkg-config "$boost" libssl-dev libsqlite3-dev \
                libspdlog-dev libfmt-dev nlohmann-json3-dev libre2-dev libyaml-cpp-dev libcli11-dev \
                prometheus-cpp-dev libcurl4-openssl-dev libcrypt-dev libldap-dev zlib1g-dev ;;
    test) echo catch2 python3 python3-yaml python3-jsonschema curl openssl strace libfaketime nginx-light jq apache2-utils whois \
               slapd ldap-utils ;;
    check) echo clang-format-19 clang-tidy-19 clang-tools-19 python3 git procps ;;
    sanitizers) echo libclang-rt-19-dev llvm-19 g++-12 xz-utils ;;   # llvm-19: llvm-symbolizer, for readable reports; xz-utils: corpora
    clients) echo docker.io $docker_cli containerd podman buildah skopeo umoci crun conmon iptables ca-certificates \
                  golang-github-containers-common docker-registry openssl python3 git ;;
    deb) echo dpkg-dev file ;;   # what CPack calls
    package) echo debootstrap systemd systemd-container dpkg-dev python3 docker-compose ;;
    browser) echo chromium python3 curl ;;
    proxies) echo nginx-light caddy haproxy ;;
    active-directory) echo samba-ad-dc samba-ad-provision ldap-utils iproute2 python3 ;;
    bench) echo nginx-light wrk docker-registry openssl python3 curl iproute2 ;;
    go) echo golang-go ca-certificates git ;;   # go_tools.sh asks for it when there is no Go
    *) echo "dependencies.sh: there is no group '$1'; the groups are build, test, check, sanitizers, clients, deb, package, browser, proxies, active-directory, bench, go" >&2
       return 2 ;;
  esac
}

[ $# -gt 0 ] || set -- build
if ! command -v dpkg-query >/dev/null; then
  echo "dependencies.sh: this is no Debian or Ubuntu, so nothing can be installed here. Install the equivalents of:" >&2
  for group in "$@"; do packages "$group" >&2; done
  exit 1
fi

missing=()
for group in "$@"; do
  list=$(packages "$group")
  for package in $list; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
  done
done
[ ${#missing[@]} -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || { echo "dependencies.sh: root rights are needed to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "Stele ($*) needs ${#missing[@]} Debian packages that are not installed; installing them now with apt-get:"
echo "  ${missing[*]}"

# Some of them (docker.io, containerd, nginx, docker-registry) start a service when they are installed. The tests
# start their own copies, so none is wanted: unless the administrator has a policy-rc.d, one stands there meanwhile.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
fi
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; then
  echo "dependencies.sh: apt-get could not install them (its reason is above). Stele needs Debian 12 or later, or Ubuntu 24.04 or later." >&2
  exit 1
fi
