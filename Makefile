# Signed pods: every way to build, test and try this repository. `make help` lists them.
SHELL := /bin/bash
DENO := .tools/deno
export DENO_DIR := $(CURDIR)/.tools/deno_dir
export DENO_NO_UPDATE_CHECK := 1
PROGRAMS := kubelet-proxy signing-server podsign

.DEFAULT_GOAL := help
.PHONY: help setup build $(PROGRAMS) demo demo-cluster test test-cluster test-versions build-all fuzz soak coverage bench bench-record bench-micro bench-profile bench-cluster fmt lint vet check generate clean \
        deploy-kind test-kind teardown-kind

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+( [a-z-]+)*:.*## / { gsub(" ", ", ", $$1); if (length($$1) > 15) printf "  %s\n%18s %s\n", $$1, "", $$2; else printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## Get the pinned Deno and the libraries
	@tools/setup.sh

build: setup ## Make bin/kubelet-proxy, bin/signing-server and bin/podsign
	@tools/build.sh $(PROGRAMS)

kubelet-proxy: setup ## Make bin/kubelet-proxy alone
	@tools/build.sh $@
signing-server: setup ## Make bin/signing-server alone
	@tools/build.sh $@
podsign: setup ## Make bin/podsign alone
	@tools/build.sh $@

build-all: setup ## Compile the three programs for Linux and macOS into dist/, with SHA256SUMS and SBOMs
	@tools/build_all.sh

demo: build ## Sign, admit, tamper, refuse: all on this machine, without Kubernetes
	@$(DENO) task --quiet demo

demo-cluster: build ## The same on a real Kubernetes (as root; builds it the first time)
	@tests/cluster/run demo

test: build ## The gate: format, lint, types, tests, generated files, publish dry run
	@$(DENO) task --quiet ok

test-cluster: build ## The tests on a real Kubernetes node (as root; builds it the first time)
	@tests/cluster/run test

test-versions: setup ## The tests that an API server alone is enough for, on Kubernetes 1.34, 1.36 and 1.37 (builds them the first time)
	@for version in 1.34.4 1.36.3 1.37.2; do \
	  env -u CLUSTER_BUILD_DIR KUBERNETES_VERSION=$$version tests/cluster/run api-server || exit; \
	done

fuzz: setup ## Random lies of the API server, for FUZZ_SECONDS (600); FUZZ_SEED repeats a run
	@FUZZ_SECONDS=$${FUZZ_SECONDS:-600} $(DENO) task --quiet fuzz

soak: build ## Faults and restarts for SOAK_SECONDS (an hour by default), with the program as it is
	@$(DENO) task --quiet soak

coverage: setup ## Tests with line coverage of shared/ and proxy/; fails below 95 %
	@$(DENO) task --quiet coverage

bench: build ## Measure against the direct connection (under 10 minutes; BENCH_ROUNDS and BENCH_PARTS make it shorter)
	@$(DENO) task --quiet bench
bench-record: build ## The same, and show the result in README.md and docs/performance.md
	@$(DENO) task --quiet bench --record && $(DENO) task --quiet generate
bench-profile: setup ## CPU profiles of the proxy under each load, for a browser
	@$(DENO) task --quiet bench:profile
bench-cluster: build ## What a node at rest pays, on a real Kubernetes node (as root; BENCH_PODS, BENCH_SECONDS)
	@tests/cluster/run bench && $(DENO) task --quiet generate
bench-micro: setup ## Measure strict JSON, canonical JSON and the steps of judging, each alone
	@$(DENO) task --quiet bench:micro

fmt: setup ## Format the code
	@$(DENO) fmt --quiet
lint: setup ## Look for mistakes
	@$(DENO) lint --quiet
vet: lint ## The same as lint
check: setup ## Type-check everything
	@$(DENO) task --quiet check
generate: setup ## Write again what is generated: tables in docs/
	@$(DENO) task --quiet generate

deploy-kind: build ## A kind cluster whose worker runs signed pods only (needs Docker, kind, kubectl)
	@deploy/kind/up.sh
test-kind: build ## The tests on that cluster
	@$(DENO) test --frozen --no-prompt --allow-all tests/kind/kind_test.ts
teardown-kind: ## Remove that cluster and its signing-server
	@deploy/kind/down.sh

clean: ## Remove what was built (keeps build/, where Kubernetes is)
	rm -rf bin build/programs coverage build/compile-*.log .tools tools/deno/node_modules
