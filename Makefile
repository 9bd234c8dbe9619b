# What is done with this project. "make help" lists it.

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

# The processor to build for, in Node's words: x64 or arm64.
MACHINE := $(patsubst x86_64,x64,$(patsubst aarch64,arm64,$(shell uname -m)))
ARCH ?= $(MACHINE)
# Where the executables go: bin/, and bin/arm64/ on another machine.
OUT := bin$(if $(filter-out $(MACHINE),$(ARCH)),/$(ARCH))

# make install: where to, below which root, and which of the two builds.
BINDIR ?= /opt/cni/bin
DESTDIR ?=
BUILD ?= static
# What people use: a link to the executable where a shell finds it, the manual page, completions. PREFIX= installs none of them.
PREFIX ?= /usr/local
MANDIR ?= $(PREFIX)/share/man/man8
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# fish does not look below /usr/local by itself.
FISHDIR ?= $(if $(filter /usr/local,$(PREFIX)),/etc/fish/completions,$(PREFIX)/share/fish/vendor_completions.d)
SHARE := build/share
SHARED = $(SHARE)/tsbridge.8:$(MANDIR)/tsbridge.8 $(SHARE)/tsbridge.bash:$(BASHDIR)/tsbridge \
  $(SHARE)/_tsbridge:$(ZSHDIR)/_tsbridge $(SHARE)/tsbridge.fish:$(FISHDIR)/tsbridge.fish
BUILT_pkg := $(OUT)/tsbridge
BUILT_static := $(OUT)/tsbridge-static

SOURCES := $(shell find src scripts/build scripts/build.ts -name '*.ts') package.json package-lock.json
# What the static build consists of beside them.
C_SOURCES := $(shell find src/engine/quickjs scripts/static -type f)
SHELL_SCRIPTS := $(shell grep -lE '^\#!(/bin/sh|/usr/bin/env bash)' scripts/* scripts/static/* test/arm64/* test/vm/* .ci/run 2>/dev/null)
PACKAGES := node_modules/.package-lock.json
# The runtimes of another processor.
RUNTIMES := $(if $(filter-out $(MACHINE),$(ARCH)),build/runtimes-$(ARCH)/node_modules/.package-lock.json)
# Everything runs on the Node.js that npm installs, whatever the machine's is; that one only has to run npm.
RUN := PATH="$(CURDIR)/node_modules/node-linux-$(MACHINE)/bin:$(CURDIR)/node_modules/.bin:$$PATH"
# Words for tap: make test TAP_FLAGS=--bail
TAP_FLAGS ?=

.PHONY: all pkg static sanitized demo playground docs test check types lint unit format bench test-runtimes test-vm test-torture test-arm64 test-fresh report audit sbom image bench-agent dist
.PHONY: install uninstall clean distclean setup-build setup-demo setup-test setup-bench setup-vm setup-runtimes setup-arm64 setup-static require-root help

all: pkg static ## Both executables: bin/tsbridge (Node.js) and bin/tsbridge-static (QuickJS); ARCH=x64|arm64

pkg: $(OUT)/tsbridge ## The Node.js executable
static: $(OUT)/tsbridge-static ## The static executable, which starts ten times faster and needs no library
sanitized: bin/tsbridge-asan ## The same for tests, with checks of every access to memory; wants gcc and glibc

demo: setup-demo pkg ## Two pods on one bridge, in namespaces that vanish afterwards
	@scripts/demo

playground: setup-demo static ## A shell on a throwaway node, to try tsbridge by hand: docs/learn.md
	@scripts/playground

docs: require-root setup-test static ## Runs the commands of all pages, writes what they print, and draws the drawings
	@$(RUN) node scripts/docs.ts

test: require-root setup-test all node_modules/.tap-ready ## All tests but test-runtimes; needs root, as a CNI plugin does
	@$(RUN) tap $(TAP_FLAGS)

check: types lint unit ## Types, lint, format and the tests that need neither root nor a build

types: $(PACKAGES)
	@$(RUN) tsc --noEmit

lint: $(PACKAGES)
	@$(RUN) biome check .
	@! command -v clang-format >/dev/null || clang-format --dry-run -Werror $(filter %.c %.h,$(C_SOURCES)) test/torture/tamper.c
	@! command -v shellcheck >/dev/null || shellcheck --severity=warning $(SHELL_SCRIPTS)

unit: $(PACKAGES) node_modules/.tap-ready
	@$(RUN) tap $(TAP_FLAGS) 'test/unit/**/*.test.ts'

format: $(PACKAGES) ## Formats the sources
	@$(RUN) biome check --write .

bench: require-root setup-bench all ## Measures both builds beside the reference plugins
	@$(RUN) node test/bench/run.ts

test-runtimes: require-root setup-runtimes all node_modules/.tap-ready ## Tests with real container runtimes
	@$(RUN) tap $(TAP_FLAGS) 'test/runtime/**/*.test.ts'

test-vm: setup-vm all node_modules/.tap-ready ## Tests of what this kernel may lack, in user-mode Linux
	@$(RUN) test/vm/run tap $(TAP_FLAGS) 'test/vm/**/*.test.ts'

test-arm64: setup-arm64 ## The walk-through and more on an emulated arm64 machine; BUILD=static|pkg
	@$(MAKE) --no-print-directory '$(BUILD)' ARCH=arm64
	@test/arm64/run '$(if $(filter-out arm64,$(MACHINE)),bin/arm64,bin)/$(notdir $(BUILT_$(BUILD)))'

test-fresh: require-root ## What a newcomer does, on a Debian with nothing but make, git, Node.js and npm
	@scripts/setup fresh
	@scripts/test-fresh

test-torture: all node_modules/.tap-ready setup-vm setup-test ## Kills, faults and signals at every point; an hour or more; writes docs/reliability.md
	@scripts/require-root
	@$(RUN) node test/torture/run.ts

audit: $(PACKAGES) ## Licenses, sums and scripts of every npm package, and npm audit where the registry answers
	@$(RUN) node scripts/audit.ts

bench-agent: require-root setup-test pkg ## What the agent costs in large clusters; a quarter of an hour; writes docs/agent.md
	@$(RUN) node test/bench/agent.ts

image: all ## What the agent's container image consists of, as a folder: build/image; deploy/Dockerfile makes an image of it
	@scripts/image

sbom: all ## A bill of materials (CycloneDX) beside each executable
	@$(RUN) node scripts/sbom.ts pkg bin/tsbridge
	@$(RUN) node scripts/sbom.ts static bin/tsbridge-static

report: $(PACKAGES) ## What the executables consist of, in bytes
	@$(RUN) node scripts/bundle-report.ts

dist: ## A tarball for x64 and one for arm64 in build/dist: executables, pages, licenses, bills of materials, sums
	@$(MAKE) --no-print-directory all ARCH=x64
	@$(MAKE) --no-print-directory all ARCH=arm64
	@$(RUN) node scripts/dist.ts

install: $(BUILT_$(BUILD)) $(SHARE)/tsbridge.8 ## Installs as tsbridge; DESTDIR=, BINDIR=/opt/cni/bin, PREFIX=/usr/local, BUILD=static|pkg
	@$(if $(BUILT_$(BUILD)),,echo 'BUILD must be static or pkg' >&2; exit 2)
	@scripts/install-executable '$(BUILT_$(BUILD))' '$(DESTDIR)$(BINDIR)/tsbridge'
	@$(if $(PREFIX),scripts/install-pages '$(BINDIR)/tsbridge' '$(DESTDIR)' '$(PREFIX)/bin/tsbridge' $(SHARED))

uninstall: ## Removes it again
	rm -f '$(DESTDIR)$(BINDIR)/tsbridge'
	@$(if $(PREFIX),scripts/install-pages --remove '$(BINDIR)/tsbridge' '$(DESTDIR)' '$(PREFIX)/bin/tsbridge' $(SHARED))

clean: ## Removes what was built
	rm -rf bin/* build/*

distclean: clean ## Removes what was built and the npm packages
	rm -rf node_modules .tap

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

$(OUT)/tsbridge: $(SOURCES) $(PACKAGES) $(RUNTIMES)
	@$(RUN) node scripts/build.ts pkg --arch '$(ARCH)' --output '$@'

$(OUT)/tsbridge-static: $(SOURCES) $(C_SOURCES) $(PACKAGES) | setup-static
	@$(RUN) node scripts/build.ts static --arch '$(ARCH)' --output '$@'

bin/tsbridge-asan: $(SOURCES) $(C_SOURCES) $(PACKAGES) | setup-static
	@scripts/setup sanitize
	@$(RUN) SANITIZE=1 node scripts/build.ts static --output '$@'

# Of all its files the one that is written first.
$(SHARE)/tsbridge.8: $(SOURCES) scripts/share.ts $(PACKAGES)
	@$(RUN) node scripts/share.ts '$(SHARE)'

# npm writes this file last, so its date is the installation's. Whoever runs the Node.js in it comes by here, so that
# what it needs of the machine is asked for first.
$(PACKAGES): package-lock.json | setup-build
	@command -v npm >/dev/null || { echo 'npm is missing: Node.js 18 or newer with npm is needed' >&2; exit 1; }
	npm ci --loglevel=error
	@touch $@

build/runtimes-%/node_modules/.package-lock.json: package-lock.json $(PACKAGES)
	@$(RUN) node scripts/fetch-runtimes.ts '$*'
	@touch $@

# tap makes its test class from the list of plugins in .taprc.
node_modules/.tap-ready: $(PACKAGES) .taprc
	@$(RUN) tap build
	@touch $@

# What is missing is asked for in one go.
setup-build:
	@scripts/setup build

setup-demo:
	@scripts/setup build demo

setup-test:
	@scripts/setup build test

setup-bench:
	@scripts/setup build bench

setup-vm:
	@scripts/setup build test vm

setup-runtimes:
	@scripts/setup build test runtimes

setup-arm64:
	@scripts/setup build arm64-vm

# Whoever is not root gets a compiler below build/ instead: scripts/static/toolchain.ts.
setup-static:
	@[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || scripts/setup static $(if $(filter-out $(MACHINE),$(ARCH)),cross-$(ARCH))

require-root:
	@scripts/require-root
