# Gatehouse. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := proto platform services gateway cmd bench
# The suites that make test runs a second time, with rate limits on and in four parts.
WAYS := -skip '^TestDrill' ./surface ./oauth ./e2e
BIN := $(CURDIR)/.bin
STEP := $(CURDIR)/tools/build/step.sh
CLIENT := clients/typescript
PROVIDER := tools/provider
GENERATED := proto/gen $(CLIENT)/src/gen $(CLIENT)/src/index.ts gateway/services_gen.go gateway/pages
# Keeps unused code out of the binaries (docs/decisions/0015).
TAGS := -tags grpcnotrace
# With the race detector Argon2 is five times as expensive, and would take most of the time of
# the tests (docs/decisions/0016).
RACE := -race -gcflags=golang.org/x/crypto/argon2=-race=false
GOTEST := GOWORK=off go test $(TAGS) $(RACE) -timeout 15m

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 17

.PHONY: setup
setup: setup-postgres setup-tests setup-tools ## Install everything that developing needs, and build the tools

.PHONY: setup-postgres
setup-postgres: ## Install what running needs: Postgres with pgvector
	@deploy/setup/postgres.sh

.PHONY: setup-tools
setup-tools: $(BIN)/.installed $(BIN)/golangci-lint ## Build the generators and the linter, once for each version

.PHONY: setup-tests
setup-tests: $(PROVIDER)/node_modules/.package-lock.json ## Install the commands that the tests call
	@deploy/setup/tests.sh

# The commands are in a cache outside of the clone; .bin has links to them.
$(BIN)/.installed: tools/go.mod tools/go.sum tools/build/install.sh
	@tools/build/install.sh tools "the generators"
	@touch $@

# Apart from the generators, whose versions its dependencies would move.
$(BIN)/golangci-lint: tools/lint/go.mod tools/lint/go.sum tools/build/install.sh
	@tools/build/install.sh tools/lint "the linter"

# Installs the packages that package-lock.json pins by hash.
$(CLIENT)/node_modules/.package-lock.json $(PROVIDER)/node_modules/.package-lock.json: %/node_modules/.package-lock.json: %/package.json %/package-lock.json
	@echo "Installing the npm packages of $*"
	@cd $* && npm ci --silent
	@touch $@

.PHONY: clients
clients: $(CLIENT)/node_modules/.package-lock.json ## Check the TypeScript client, and run its tests that need no gateway
	@cd $(CLIENT) && npm test --silent

.PHONY: generate
generate: $(BIN)/.installed $(CLIENT)/node_modules/.package-lock.json ## Regenerate Go, TypeScript and OpenAPI from proto/, and pages
	@$(BIN)/buf format -w proto
	@$(BIN)/buf generate
	@$(BIN)/buf generate --template $(CLIENT)/buf.gen.yaml
	@cd proto && go run $(TAGS) ./internal/openapigen
	@cd proto && go run $(TAGS) ./internal/servicegen
	@cd gateway/pages && $(BIN)/templ fmt -log-level error . && $(BIN)/templ generate -log-level error

.PHONY: entity
entity: setup-postgres $(BIN)/.installed $(CLIENT)/node_modules/.package-lock.json ## Add an entity: make entity NAME=prompt SERVICE=management
	@cd tools/entity && GOWORK=off go run . -name "$(NAME)" -plural "$(PLURAL)" -service "$(SERVICE)"

.PHONY: check-generated
check-generated: $(BIN)/.installed ## Fail when committed generated files are stale
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- proto $(GENERATED) && test -z "$$(git ls-files --others --exclude-standard -- $(GENERATED))" || { echo "Generated files are stale, or not yet in git: run make generate, then git add proto gateway $(CLIENT)"; exit 1; }

.PHONY: lint
lint: $(BIN)/.installed $(BIN)/golangci-lint $(CLIENT)/node_modules/.package-lock.json ## Lint the contracts and the code
	@$(BIN)/buf lint
	@if git rev-parse -q --verify HEAD~1 >/dev/null; then $(BIN)/buf breaking --against '.git#ref=HEAD~1'; fi
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(BIN)/golangci-lint run ./...); done
	@cd $(CLIENT) && npm run check --silent
	@cd tools/containers && GOWORK=off go test -count=1 ./...
	@cd tools/entity && GOWORK=off go vet ./... && GOWORK=off go test -count=1 ./...
	@cd tools/stats && GOWORK=off go vet ./... && GOWORK=off go test -count=1 ./...

.PHONY: format
format: $(BIN)/.installed $(BIN)/golangci-lint ## Format the contracts and the code, and apply the fixes of the linters
	@$(BIN)/buf format -w proto
	@for m in $(MODULES); do (cd $$m && GOWORK=off $(BIN)/golangci-lint run --fix ./...); done

.PHONY: build
build: ## Build each module on its own, like a user of it
	@for m in $(MODULES); do echo "build $$m"; (cd $$m && GOWORK=off go build $(TAGS) -o /dev/null ./...); done

.PHONY: check-modules
check-modules: ## Fail when a go.mod or go.sum is not tidy
	@for m in $(MODULES); do (cd $$m && GOWORK=off go mod tidy -diff >/dev/null) || { echo "$$m: run go mod tidy"; exit 1; }; done

.PHONY: test
test: setup-postgres ## Everything that must hold before a change lands
	@for step in setup-tests setup-tools check-modules lint clients check-generated build test-go; do \
		$(STEP) $$step $(MAKE) --no-print-directory $$step; done

# Results are cached until a source changes, those of tests that build programs too.
.PHONY: test-go
test-go:
	@trap '(cd platform && go run $(TAGS) ./pgtest/stop)' EXIT; \
	export GATEHOUSE_TEST_SOURCES=$$(tools/build/sources.sh); \
	for m in $(MODULES); do (cd $$m && $(STEP) "test $$m" env $(GOTEST) ./...); done; \
	(cd cmd && $(STEP) "test cmd with limits, in four parts" env GATEHOUSE_TEST_RATE_LIMITS=on GATEHOUSE_TEST_PARTS=four $(GOTEST) $(WAYS))

.PHONY: stats
stats: ## Print figures of the code, per module
	@cd tools/stats && GOWORK=off go run .

.PHONY: test-ways
test-ways: setup-postgres setup-tests ## Run the suites of the whole product with rate limits on and off, in one part and in four
	@trap '(cd platform && go run $(TAGS) ./pgtest/stop)' EXIT; \
	for limits in on off; do for parts in one four; do \
		echo "rate limits $$limits, parts: $$parts"; \
		(cd cmd && GATEHOUSE_TEST_RATE_LIMITS=$$limits GATEHOUSE_TEST_PARTS=$$parts $(GOTEST) -count=1 $(WAYS)); \
	done; done

ROUNDS := 200
.PHONY: drill
drill: setup-postgres ## Kill the chat process 200 times, and stop the database for a minute; takes about half an hour
	@trap '(cd platform && go run $(TAGS) ./pgtest/stop)' EXIT; \
	cd cmd && GOWORK=off go test $(TAGS) -count=1 -timeout 100m -run TestDrill -v ./e2e -rounds $(ROUNDS) -outage 1m

.PHONY: bench
bench: setup-postgres ## Measure speed and memory, with floors for comparison; takes some minutes
	@cd bench && GOWORK=off go run $(TAGS) ./load

.PHONY: run
run: setup-postgres ## Build and run everything in one process; Ctrl-C stops it
	@mkdir -p bin && cd cmd && GOWORK=off go build $(TAGS) -o ../bin/gatehouse ./gatehouse
	@exec bin/gatehouse serve

.PHONY: run-split
run-split: setup-postgres ## Build and run everything in four processes
	@mkdir -p bin && cd cmd && GOWORK=off go build $(TAGS) -o ../bin/ ./...
	@exec bin/gatehouse split
