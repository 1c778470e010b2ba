# The verbs of the house. `make help` lists them.
# Everything runs with Go and git alone; `test` and `bench` install what they compare against (scripts/test-deps).

MODULE  := github.com/segue-deploy/segue
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X $(MODULE)/internal/version.Version=$(VERSION)
TOOL    := go tool -modfile=tools/go.mod

# What real components tests and benches start, by the name of the program.
TEST_PROGRAMS  := cc
BENCH_PROGRAMS := haproxy nginx wrk

# The race detector needs a C compiler on Linux. The SQLite that was translated from C is left out of it: 50,000 inserts
# take 0.4 s so, and 5 s with it. What the detector says of our own code does not change.
# Asked by the shell, when its line runs: make would expand it before scripts/test-deps has installed the compiler.
RACE = $$(command -v cc >/dev/null && echo -race -gcflags=modernc.org/...=-race=false)

# Tests of how often and how late judges are right only compute, in one goroutine: a part of them with the detector, all without it.
RATES := ^Test(Equal|Rolling|Delays|Seconds|Growth|Kayenta|FaultsAreFound)

.DEFAULT_GOAL := help
.PHONY: help build demo test e2e race lint fmt gen bench fuzz release clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/segue
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o bin/segue ./cmd/segue

demo: build ## a shop on four servers rolled to v2 under load, then bad releases rolled back
	bin/segue demo

test: ## every test, end-to-end ones included, under the race detector
	scripts/test-deps $(TEST_PROGRAMS)
	scripts/test-postgres
	go test $(RACE) -p 2 -timeout 20m ./...
	go test -timeout 20m -run '$(RATES)' ./internal/judge/metrics ./internal/app

e2e: ## the end-to-end tests (TestE2E...) alone, with what they print
	go test -count=1 -v -timeout 10m -run '^TestE2E' ./...

race: ## hunt for races: the quick tests three times over, in random order
	$(TOOL) gotestsum --format pkgname -- $(RACE) -short -shuffle=on -count=3 -timeout 20m ./...

lint: ## golangci-lint, as pinned in tools/go.mod
	$(TOOL) golangci-lint run ./...

fmt: ## gofumpt and the order of imports
	$(TOOL) golangci-lint fmt ./...

gen: ## what is generated: command reference, JSON Schema, OpenAPI
	go generate ./...

bench: ## compare with others, or BENCH=proxy|failures|rollout|fleet|databases|judges; prints a table, writes bench.json
	scripts/test-deps $(BENCH_PROGRAMS)
	go run ./internal/bench/cmd -out bench.json $(if $(BENCH),-only $(BENCH))

fuzz: ## every fuzz target for FUZZTIME (20s)
	scripts/fuzz $(or $(FUZZTIME),20s)

release: ## static programs for Linux and macOS with checksums, in dist/
	scripts/release "$(VERSION)" "$(LDFLAGS)"

clean: ## remove what the verbs above write
	rm -rf bin dist bench.json
