# Gatehouse. `make help` lists what there is.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := proto platform services gateway cmd bench
BIN := $(CURDIR)/.bin
TOOLS := buf protoc-gen-go protoc-gen-go-grpc protoc-gen-grpc-gateway

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

.PHONY: setup
setup: ## Install what building and testing need: Postgres with pgvector
	@deploy/setup/postgres.sh

# Installed from tools/go.mod, outside the workspace: its dependencies are not ours.
$(BIN)/.installed: tools/go.mod tools/go.sum
	@echo "Building the generators pinned in tools/go.mod"
	@mkdir -p $(BIN)
	@cd tools && GOWORK=off GOBIN=$(BIN) go install tool
	@touch $@

# Apart from the generators, whose versions its dependencies would move.
$(BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum
	@echo "Building the linter pinned in tools/lint/go.mod (once, a minute or two)"
	@mkdir -p $(BIN)
	@cd tools/lint && GOWORK=off GOBIN=$(BIN) go install tool
	@touch $@

.PHONY: generate
generate: $(BIN)/.installed ## Regenerate Go and OpenAPI from proto/
	@$(BIN)/buf format -w proto
	@$(BIN)/buf generate
	@cd proto && go run ./internal/openapigen

.PHONY: check-generated
check-generated: $(BIN)/.installed ## Fail when committed generated files are stale
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- proto || { echo "Generated files are stale: run make generate and commit"; exit 1; }

.PHONY: lint
lint: $(BIN)/.installed $(BIN)/golangci-lint ## Lint the contracts and the code
	@$(BIN)/buf lint
	@if git rev-parse -q --verify HEAD~1 >/dev/null; then $(BIN)/buf breaking --against '.git#ref=HEAD~1'; fi
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(BIN)/golangci-lint run ./...); done

.PHONY: format
format: $(BIN)/.installed $(BIN)/golangci-lint ## Format the contracts and the code, and mend what lint can mend
	@$(BIN)/buf format -w proto
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(BIN)/golangci-lint run --fix ./...); done

.PHONY: build
build: ## Build each module by itself, as a user of it would
	@for m in $(MODULES); do echo "build $$m"; (cd $$m && GOWORK=off go build ./...); done

.PHONY: check-modules
check-modules: ## Fail when a go.mod or go.sum is not tidy
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff >/dev/null) || { echo "$$m: run go mod tidy"; exit 1; }; done

.PHONY: test
test: setup check-modules lint check-generated build ## Everything that must hold before a change lands
	@trap '(cd platform && go run ./pgtest/stop)' EXIT; \
	for m in $(MODULES); do (cd $$m && GOWORK=off go test -race -timeout 15m ./...); done

.PHONY: bench
bench: setup ## Measure speed and memory, with floors beside; about a minute
	@cd bench && GOWORK=off go run ./load

.PHONY: run
run: setup ## Build and run everything in one process; Ctrl-C stops it
	@mkdir -p bin && cd cmd && GOWORK=off go build -o ../bin/gatehouse ./gatehouse
	@exec bin/gatehouse serve

.PHONY: run-split
run-split: setup ## The same as four processes
	@mkdir -p bin && cd cmd && GOWORK=off go build -o ../bin/ ./...
	@exec bin/gatehouse split
