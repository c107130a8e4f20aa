# The front door. Every target installs what it needs first (scripts/dependencies.sh: one apt-get call, only what is
# missing) and can be run on a fresh machine.
.DEFAULT_GOAL := help
.PHONY: help build run test check ci conformance clients bench bench-cleanup bench-mirror long fuzz crash linearizability replay lifecycle-histories hostile hostile-memory mutations soak package package-test image-test proxies active-directory browser format clean
MAKEFLAGS += --no-print-directory

# Two builds at a time on the same tree are one too many; -j is Ninja's own business.
.NOTPARALLEL:

RELEASE := build/release

help:
	@echo "make run          build and start the registry on 127.0.0.1:5000, data in ./data (ARGS='...' for more flags)"
	@echo "make build        build $(RELEASE)/stele"
	@echo "make test         unit, contract and protocol tests"
	@echo "make check        format, include rule, headers, coroutine rule, clang-tidy on what changed (WHOLE=1: on everything)"
	@echo "make ci           the gate (.ci/run) on a clean clone of HEAD; the result is build/ci/last"
	@echo "make conformance  the OCI conformance program: strict and sparse, plain and TLS"
	@echo "make clients      docker, podman, buildah, skopeo, ctr, crane, oras, regctl, umoci, cosign, helm, stargz against a running server"
	@echo "make crash        kill -9 under load for three minutes, then prove that nothing was lost (KILLS=n)"
	@echo "make linearizability  100 random histories of concurrent pushes, deletions and reads, some with kill -9"
	@echo "make replay       a year of a busy team in minutes: what lifecycle leaves is what an independent model says"
	@echo "make lifecycle-histories  random histories of lifecycle and collection against a simple model (OPERATIONS=n)"
	@echo "make hostile      slow heads, bodies and readers, 10,000 idle connections, resets, pipelining"
	@echo "make hostile-memory  10,000 connections that ask for what is large and stand still"
	@echo "make mutations    one safeguard at a time is taken out of a copy, and the tests named for it must fail"
	@echo "make soak         an hour of ordinary work: nothing may grow but what is stored (MINUTES=n)"
	@echo "make fuzz         each fuzzer for 60 s (SECONDS_EACH=n for another time)"
	@echo "make bench        beside nginx and docker-registry, as ratios, written to docs/benchmarks.md (QUICK=1: five minutes, not written)"
	@echo "make bench-cleanup bench-mirror   100,000 of 1,000,000 manifests removed; 16 clients on one cold 1 GB image: an hour each (QUICK=1: minutes)"
	@echo "make long         the long suites in full, written down in docs/last-long-run.md (SUITES=\"crash fuzz\": some of them)"
	@echo "make proxies      push and pull through nginx, Caddy and HAProxy, as deploy/ sets them up and with their own defaults"
	@echo "make active-directory  users and nested groups of Active Directory, with Samba's domain controller"
	@echo "make browser      web pages of others in Chromium try to administer a registry on the same machine"
	@echo "make package      a Debian package of it: $(RELEASE)/package/stele_*.deb"
	@echo "make format       clang-format in place"
	@echo "make clean        remove build/ (never ./data)"

# CMake configures once; afterwards Ninja notices by itself when CMakeLists.txt changes.
$(RELEASE)/build.ninja:
	@scripts/dependencies.sh build test
	@cmake --preset release

build: $(RELEASE)/build.ninja
	@scripts/dependencies.sh build
	@cmake --build $(RELEASE) --target stele

run: build
	@exec $(RELEASE)/stele serve $(ARGS)

# The same tree as `make build`, so that a first `make run` has compiled most of it already.
test: $(RELEASE)/build.ninja
	@scripts/dependencies.sh build test
	@cmake --build $(RELEASE)
	@scripts/run_ctest.py $(RELEASE)

check:
	@scripts/dependencies.sh build test check
	@scripts/check.sh $(if $(WHOLE),--whole)

# The gate as a stranger's machine would run it: a fresh clone of HEAD, nothing of this folder used.
ci:
	@scripts/ci.sh

conformance: build
	@scripts/dependencies.sh build test
	@scripts/go_tools.sh conformance
	@tests/conformance/run.py

clients: build
	@scripts/dependencies.sh build test clients
	@scripts/go_tools.sh crane oras regctl cosign helm stargz-fetch $(filter buildx kaniko,$(CLIENTS)) $(if $(filter buildkit expiry,$(CLIENTS)),buildctl buildkitd) $(if $(filter cri,$(CLIENTS)),crictl) $(if $(filter crio,$(CLIENTS)),crictl crio pinns)
	@$(if $(filter cri,$(CLIENTS)),scripts/go_tools.sh zot || echo "Without zot what needs it is not tried.")
	@tests/clients/run.py $(CLIENTS)

SECONDS_EACH ?= 60
fuzz:
	@scripts/dependencies.sh build test sanitizers
	@tests/fuzz/run.sh $(SECONDS_EACH)

crash: build
	@scripts/dependencies.sh build test
	@tests/crash/run.py $(if $(KILLS),--kills $(KILLS),--seconds 180)

linearizability: build
	@scripts/dependencies.sh build test
	@tests/linearizability/run.py

replay: build
	@scripts/dependencies.sh build test
	@tests/replay/run.py

OPERATIONS ?= 200000
lifecycle-histories: $(RELEASE)/build.ninja
	@scripts/dependencies.sh build test
	@cmake --build $(RELEASE) --target test_gc
	@tests/lifecycle_histories.sh $(OPERATIONS)

hostile: build
	@scripts/dependencies.sh build test
	@tests/hostile/run.py

CONNECTIONS ?= 10000
hostile-memory: build
	@scripts/dependencies.sh build test
	@tests/hostile/memory.py $(RELEASE)/stele --connections $(CONNECTIONS)

mutations:
	@scripts/dependencies.sh build test
	@tests/mutations/run.py

MINUTES ?= 60
soak: build
	@scripts/dependencies.sh build test
	@cmake --build $(RELEASE) --target stele_load
	@tests/soak/run.py --minutes $(MINUTES) --markdown docs/last-soak.md

bench: build
	@scripts/dependencies.sh build bench
	@scripts/go_tools.sh registry zot || echo "Without them the bench has fewer peers."
	@bench/run.py $(if $(QUICK),,--markdown docs/benchmarks.md)

# An hour or more each, and nothing else to do for this machine meanwhile.
bench-cleanup: build
	@scripts/dependencies.sh build bench
	@scripts/go_tools.sh zot || echo "Without it zot's way is not beside it."
	@cmake --build $(RELEASE) --target stele_load
	@bench/cleanup.py $(if $(QUICK),--quick,--markdown docs/benchmarks-cleanup.md)

bench-mirror: build
	@scripts/dependencies.sh build bench
	@scripts/go_tools.sh zot-sync || echo "Without it zot's sync is not beside it."
	@bench/mirror.py $(if $(QUICK),--size 100 --rounds 1 --minutes 10,--markdown docs/benchmarks-mirror.md)

long: build
	@scripts/dependencies.sh build test check sanitizers clients
	@scripts/go_tools.sh
	@cmake --build $(RELEASE)
	@scripts/long_run.py $(SUITES)

package: build
	@scripts/dependencies.sh deb
	@cd $(RELEASE) && cpack --config CPackConfig.cmake >package.log || { cat package.log; exit 1; }
	@ls $(RELEASE)/package/*.deb

# It boots a Debian of its own: root, and a minute or two.
package-test: package
	@scripts/dependencies.sh package
	@tests/package/run.py

# A dockerd of its own: root, and a few minutes.
image-test: package
	@scripts/dependencies.sh package clients
	@tests/package/image.py

proxies: build
	@scripts/dependencies.sh test proxies clients
	@scripts/go_tools.sh crane
	@tests/proxy/run.py $(RELEASE)/stele --clients nginx caddy haproxy

# A domain controller in a network of its own: root.
active-directory: build
	@scripts/dependencies.sh test active-directory
	@tests/ldap/active_directory.py $(RELEASE)/stele

browser: build
	@scripts/dependencies.sh test browser
	@tests/browser/run.py

format:
	@scripts/dependencies.sh check
	@git ls-files --cached --others --exclude-standard '*.hpp' '*.cpp' | xargs clang-format-19 -i

clean:
	@rm -rf build
