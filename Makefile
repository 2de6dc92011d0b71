# One place for every command that people and CI run. `setup` needs Debian or Ubuntu, and root or sudo.
SHELL := /bin/bash
export SWIFT_DETERMINISTIC_HASHING := 1
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TOOLS := crun runc conmon erofs-utils haproxy gpgv apt nftables iproute2 ca-certificates
LIBRARIES := liblzma-dev libzstd-dev libdeflate-dev libsqlite3-dev pkg-config
CHECKERS := skopeo umoci wrk busybox-static openssl prometheus docker-registry gpg gpg-agent gpgconf
PEERS := docker.io podman mmdebstrap hyperfine

.PHONY: demo setup setup-peers build simulate test packages check format bench clean

demo: setup build
	$(SUDO) .build/release/kiln demo --examples examples

setup:
	@missing=(); for package in $(TOOLS) $(LIBRARIES) $(CHECKERS); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); done; \
	if [ $${#missing[@]} -gt 0 ]; then echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${missing[@]}" >/dev/null; fi

setup-peers: setup
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PEERS) >/dev/null

build: setup
	swift build --configuration release --static-swift-stdlib --product kiln

# Rollouts against a simulated world; a seed that breaks a law is printed with a script that replays it.
SEEDS ?= 100000
simulate:
	swift build --configuration release --static-swift-stdlib --product simulate
	.build/release/simulate --seeds $(SEEDS)

check:
	swift format lint --strict --recursive Package.swift Sources Tests
	swift build --build-tests --explicit-target-dependency-import-check error

test: setup check
	swift test --skip-build --disable-xctest

# Bakes every server package of Tests/Integration/packages.yaml; the first time it fetches some gigabytes.
packages: setup check
	KILN_ALL_PACKAGES=1 swift test --skip-build --disable-xctest --filter PackageTests

format:
	swift format --in-place --recursive Package.swift Sources Tests

bench: setup-peers build
	swift build --configuration release --static-swift-stdlib --product simulate
	swift build --configuration release --static-swift-stdlib --product PlanBenchmark
	$(SUDO) Benchmarks/run

clean:
	rm -rf .build
