# Sets up a fresh Debian 12 machine, builds, tunes, tests. Every target may be run again: what is
# there is neither downloaded nor built twice.
BUDGET ?= 6m
PACKAGES := libhwloc-dev libudev-dev pkg-config
# Readers of what is exported, and what watches over the files that are opened.
TEST_PACKAGES := openssh-client strace systemd
ifneq ($(LIBTORCH)$(LIBTORCH_USE_PYTORCH),)
LIBTORCH_READY :=
else
LIBTORCH_READY := libtorch/build-version
endif

.PHONY: tune test dist numa-test slurm-test page-test kubernetes-test build setup packages lint

tune: build ## sets up, builds, and tunes this machine for BUDGET
	target/release/wan22-tune --budget $(BUDGET)

test: setup ## sets up and passes the tests
	@scripts/packages.sh $(TEST_PACKAGES)
	cargo test --quiet --no-fail-fast

dist: setup ## builds and packs a release into dist/ and runs it as on a machine without Rust
	@scripts/packages.sh patchelf binutils
	scripts/dist.sh

numa-test: setup ## the same binaries on emulated machines with several NUMA nodes
	@scripts/packages.sh qemu-system-x86 cpio
	cargo build --quiet --bin wan22-tune --example touching-worker
	cargo test --quiet --test numa

slurm-test: setup ## fleets on a real Slurm of several nodes, on this machine; needs root
	@scripts/packages.sh slurmctld slurmd slurm-client munge iproute2 util-linux openssh-server
	cargo build --quiet --bin wan22-tune
	cargo test --quiet --test slurm -- --test-threads=4

page-test: setup ## the pages in a real browser
	tests/pages/run

kubernetes-test: setup ## what is written for Kubernetes, by its own schemas
	tests/kubernetes/run

build: setup
	cargo build --release --quiet

setup: packages $(LIBTORCH_READY)

packages:
	@scripts/packages.sh $(PACKAGES)

libtorch/build-version: scripts/libtorch.py
	python3 scripts/libtorch.py libtorch
	@touch $@

lint: setup target/ruff/bin/ruff ## what CI asks besides the tests
	@scripts/packages.sh shellcheck
	target/ruff/bin/ruff check --quiet
	python3 benches/fidelity.py --self-test
	shellcheck --severity warning .ci/run scripts/*.sh tests/numa/*.sh tests/slurm/*.sh benches/slurm/*.sh tests/pages/run tests/kubernetes/run
	cargo fmt --check
	cargo clippy --all-targets --quiet -- -D warnings
	cargo clippy --test numa --test slurm --quiet -- -D warnings
	cargo clippy --no-default-features --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet

target/ruff/bin/ruff:
	python3 -m pip install --quiet --target target/ruff ruff==0.17.6
