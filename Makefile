# Works with GNU Make 3.81 (macOS) and newer.
SHELL := /bin/bash
.DEFAULT_GOAL := help
LOCAL := .local
GOLANGCI_LINT := v2.15.0
LINTER := $(LOCAL)/tools/golangci-lint-$(GOLANGCI_LINT)
GOVULNCHECK := v1.9.0
VULNERABILITY_CHECKER := $(LOCAL)/tools/govulncheck-$(GOVULNCHECK)
GO_LICENSES := v1.6.0
LICENCE_CHECKER := $(LOCAL)/tools/go-licenses-$(GO_LICENSES)
CFN_LINT := 1.58.0
SCHEMATHESIS := 4.32.5
SAM_CLI := 1.170.0
SAM := $(LOCAL)/venv-sam-$(SAM_CLI)/bin/sam
API_FUZZER := $(LOCAL)/venv-schemathesis-$(SCHEMATHESIS)/bin/st
TEMPLATE_LINTER := $(LOCAL)/venv-cfn-lint-$(CFN_LINT)/bin/cfn-lint
CHECKOV := 3.3.30
CHECKOV_LINTER := $(LOCAL)/venv-checkov-$(CHECKOV)/bin/checkov
# The functions as template.yaml names them, less the word Function; each lives in functions/<name in lower case>.
FUNCTIONS := Reserve Register Approve Complete Cancel Query Compensate Sweep Admin Migrate
BOOTSTRAPS := $(FUNCTIONS:%=$(LOCAL)/bin/%Function/bootstrap)
# Without the RPC that only older runtimes speak, and without pgx's list of all Go types, a tenth of every function.
TAGS := lambda.norpc,nopgxregisterdefaulttypes
BUILD := CGO_ENABLED=0 go build -tags $(TAGS) -trimpath -ldflags "-s -w"
# The same for sam build, which says none of it by itself.
SAM_GOFLAGS := -tags=$(TAGS) -trimpath '-ldflags=-s -w'
# The front waits for somebody at each step, as its functions do: what template.yaml says of GODEBUG holds for it too.
AWAKE := -X runtime.godebugDefault=schedtrace=2000000000
BENCH := go run -ldflags "$(AWAKE)" ./functions/local/bench
# One process after the other dies in these: a race has nobody to run, and the detector takes thrice the time.
UNRACED := ^TestCrash
# Each of these fills a machine by itself, and looks at the clock.
BUSY := stayhold/(functions/local/(chaos|stacktest)|shared/booking)$$
# Of the stack's tests, those that look at servers which the front starts itself, or bring their own: on a Redis Cluster
# and PgBouncer they would show nothing.
UNSCALED := TestBadStarts|TestFunctionsElsewhere|TestAnotherDatabase|TestReadyAndStopInTime|TestStop|TestNothingOutlives|TestDeathsWhile|TestAFunctionDies|TestMalformed|TestBrokenDependencies|TestASlowDatabase|TestIdempotencyKeyInProgress|TestEverySample|TestEdges|TestInitWaitsForNobody|TestARefusalOpensNoDatabase|TestWhatARefusal|TestNoSecret|TestSellsOverTLS

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: servers build ## sell rooms on this machine: the whole stack, until Ctrl-C
	@exec .ci/front $(LOCAL)/bin/local

.PHONY: sam
sam: go-version servers $(LOCAL)/bin/local $(LOCAL)/bin/samlocal ## the same with the functions in containers, built and run by AWS SAM: needs Docker
	@.ci/install python
	@$(MAKE) --no-print-directory $(SAM)
	@exec .ci/front $(LOCAL)/bin/samlocal -sam $(SAM) -goflags "$(SAM_GOFLAGS)"

.PHONY: sam-test
sam-test: go-version servers $(LOCAL)/bin/local $(LOCAL)/bin/samlocal ## every function, route and step of a sale in SAM's containers: needs Docker
	@.ci/install python
	@$(MAKE) --no-print-directory $(SAM)
	@exec .ci/front $(LOCAL)/bin/samlocal -sam $(SAM) -goflags "$(SAM_GOFLAGS)" -check

.PHONY: test
test: go-version ## every test, on real servers, with the race detector
	@.ci/install servers pgbouncer compiler python
	@$(MAKE) --no-print-directory build
	STAYHOLD_BIN=$(CURDIR)/$(LOCAL)/bin go test -race -count=1 -skip '$(UNRACED)' $$(go list ./... | grep -vE '/bookingtest|/local/bench|$(BUSY)')
	STAYHOLD_BIN=$(CURDIR)/$(LOCAL)/bin go test -race -p 1 -count=1 -skip '$(UNRACED)' $$(go list ./... | grep -E '$(BUSY)')
	STAYHOLD_BIN=$(CURDIR)/$(LOCAL)/bin go test -v -count=1 ./functions/local/bench
	@$(MAKE) --no-print-directory -j2 test-crashes test-memory
	go test -tags $(TAGS) -count=1 -run 'Pooler|OneConnectionPerStore|ReadOnlyConnectionIsGivenUp' ./shared/postgres
	STAYHOLD_BIN=$(CURDIR)/$(LOCAL)/bin STACKTEST_BACKEND=scaled go test -race -count=1 -skip '$(UNSCALED)' ./functions/local/stacktest

.PHONY: fuzz
fuzz: go-version ## random inputs to all that reads what strangers send: FUZZTIME=20s for each target
	@.ci/fuzz $(FUZZTIME)

.PHONY: fuzz-api
fuzz-api: servers build ## schemathesis on the running stack and openapi.yaml: FUZZSECONDS=60, SEED=n
	@.ci/install python
	@$(MAKE) --no-print-directory $(API_FUZZER)
	@go run ./functions/local/apifuzz -fuzzer $(API_FUZZER) -seconds $(or $(FUZZSECONDS),60) $(SEED:%=-seed %)

# Each of the two keeps one processor at work.
.PHONY: test-crashes test-memory
test-crashes:
	go test -count=1 -timeout 25m -run '$(UNRACED)' ./shared/booking
test-memory:
	go test -count=1 -timeout 25m ./shared/booking/bookingtest/...

.PHONY: simulate
simulate: go-version ## random worlds with every fault, in memory: SEEDS=20000, or SEED=n to replay one
	SEEDS=$(or $(SEEDS),20000) SEED=$(SEED) go test -count=1 -timeout 0 -v -run TestSimulation ./shared/booking/bookingtest/simulation

.PHONY: crashes
crashes: go-version servers ## two crashes in every story, on real servers: some ten minutes of two cores
	CRASHES=whole go test -count=1 -timeout 0 -parallel 8 -v -run '^TestCrashSquare$$' ./shared/booking

.PHONY: chaos
chaos: servers build ## sell rooms while everything is killed at random: MINUTES=1, SEED=n
	@go run ./functions/local/chaos -minutes $(or $(MINUTES),1) $(SEED:%=-seed %)

.PHONY: soak
soak: servers build ## the same for long and gently, with memory, connections and tables watched: MINUTES=10
	@go run ./functions/local/chaos -soak -minutes $(or $(MINUTES),10) $(SEED:%=-seed %)

# Built for the processor that the stage names.
STAGES := dev prod

.PHONY: deploy
deploy: go-version stage ## lint, test, build and deploy to AWS, and print the URL: STAGE=dev or prod
	@.ci/install python
	@$(MAKE) --no-print-directory $(SAM)
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test
	SAM_CLI_TELEMETRY=0 CGO_ENABLED=0 GOFLAGS="$(SAM_GOFLAGS)" $(SAM) build --parallel --parameter-overrides Architecture=$$(awk -F '[="]' \
		'/^\[/ { on = $$0 == "[$(STAGE).deploy.parameters]" } on && /"Architecture=/ { as = $$3 } END { print as ? as : "arm64" }' samconfig.toml)
	SAM_CLI_TELEMETRY=0 $(SAM) deploy --config-env $(STAGE)
	@SAM_CLI_TELEMETRY=0 $(SAM) list stack-outputs --stack-name stayhold-$(STAGE) --output json | \
		awk -F '"' '/"OutputKey": "ApiUrl"/ { found = 1 } found && /"OutputValue"/ { print "deployed: " $$4; exit }'

.PHONY: destroy
destroy: stage ## take a deployment down, after asking: STAGE=dev or prod
	@.ci/install python
	@$(MAKE) --no-print-directory $(SAM)
	@printf 'This deletes stayhold-$(STAGE): its API, queues and cache for good; of the database a snapshot stays. Type its name to go on: '; \
	read -r name; [ "$$name" = stayhold-$(STAGE) ] || { echo "not deleted"; exit 1; }; \
	SAM_CLI_TELEMETRY=0 $(SAM) delete --stack-name stayhold-$(STAGE) --no-prompts

# Says what is missing before minutes go by.
.PHONY: stage
stage:
	@case " $(STAGES) " in *" $(STAGE) "*) [ -n "$(STAGE)" ] ;; *) false ;; esac || { echo "say which stage: make $(firstword $(MAKECMDGOALS)) STAGE=dev (or prod)"; exit 1; }
	@left=$$(awk -v stage='[$(STAGE).deploy.parameters]' '/^\[/ { on = $$0 == stage } on && /<[^>]*>/' samconfig.toml); \
		[ -z "$$left" ] || [ "$(firstword $(MAKECMDGOALS))" != deploy ] || { echo "samconfig.toml, $(STAGE): fill in"; echo "$$left"; exit 1; }

.PHONY: lint
lint: go-version $(LINTER) ## gofmt, go vet, golangci-lint with the import table, luacheck, cfn-lint, checkov
	@.ci/install luacheck python
	@$(MAKE) --no-print-directory $(TEMPLATE_LINTER) $(CHECKOV_LINTER)
	@bad=$$(gofmt -l functions lua shared) && if [ -n "$$bad" ]; then echo "gofmt would change:" $$bad; exit 1; fi
	go vet ./...
	$(LINTER) run
	luacheck --quiet lua
	$(TEMPLATE_LINTER) template.yaml
	@told=$$($(CHECKOV_LINTER) --config-file .checkov.yaml -f template.yaml 2>&1) || { printf '%s\n' "$$told"; exit 1; }

.PHONY: audit-deps
audit-deps: go-version $(VULNERABILITY_CHECKER) $(LICENCE_CHECKER) ## what is linked: as go.sum says, without known vulnerabilities, under known licences
	@.ci/dependencies $(VULNERABILITY_CHECKER) $(LICENCE_CHECKER)

.PHONY: build
build: go-version ## the functions and the local front, for this machine
	@begin=$$(date +%s); $(MAKE) --no-print-directory -j4 $(BOOTSTRAPS) $(LOCAL)/bin/local && echo "built $(words $(BOOTSTRAPS)) functions and the local front in $$(( $$(date +%s) - begin )) s"

.PHONY: bench
bench: build ## how fast it is: handlers beside their floors, in one run; charts in .local/bench.html
	@.ci/install servers pgbouncer
	@$(BENCH)

.PHONY: bench-large
bench-large: servers ## what a call costs among 10,000,000 bookings or holds, an audit and a backlog: a quarter of an hour or more, 20 GB
	@$(BENCH) -only gate-large,growth-large,audit,backlog

.PHONY: bench-audit
bench-audit: servers ## how long an audit of 1,000,000 bookings takes
	@$(BENCH) -only audit

.PHONY: bench-backlog
bench-backlog: servers ## how fast the sweep serves 100,000 lapsed bookings, and how long it locks
	@$(BENCH) -only backlog

.PHONY: mutants
mutants: servers ## put one fault after the other into the program; a test has to notice each
	@go run ./functions/local/mutants

.PHONY: servers
servers: ## install Postgres and Redis if they are missing
	@.ci/install servers

.PHONY: clean-data
clean-data: ## forget every local booking, charge and key (not while the stack runs)
	@for lock in $$(find $(LOCAL) -maxdepth 2 -name lock 2>/dev/null); do \
		pid=$$(cat $$lock); \
		if [ -n "$$pid" ] && kill -0 $$pid 2>/dev/null; then echo "the stack is running (process $$pid): stop it first"; exit 1; fi; \
	done; \
	if [ -d $(LOCAL) ]; then find $(LOCAL) -mindepth 1 -maxdepth 1 ! -name bin ! -name tools ! -name 'venv*' -exec rm -rf {} +; fi; \
	echo "the local data is gone"

# Go's own cache knows what is up to date: ask it every time.
.PHONY: always
always:

$(LOCAL)/bin/%Function/bootstrap: always
	@$(BUILD) -o $@ ./functions/$$(echo $* | tr A-Z a-z) && echo "  built $*Function"

$(LOCAL)/bin/local: always
	@CGO_ENABLED=0 go build -ldflags "$(AWAKE)" -o $@ ./functions/local && echo "  built the local front"

$(LOCAL)/bin/samlocal: always
	@CGO_ENABLED=0 go build -o $@ ./functions/local/samlocal

$(LINTER):
	@echo "building golangci-lint $(GOLANGCI_LINT), once (some minutes) …"
	@mkdir -p $(LOCAL)/tools
	@GOBIN=$(CURDIR)/$(LOCAL)/tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT)
	@mv $(LOCAL)/tools/golangci-lint $@

$(VULNERABILITY_CHECKER):
	@echo "building govulncheck $(GOVULNCHECK), once …"
	@GOBIN=$(CURDIR)/$(LOCAL)/tools go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK)
	@mv $(LOCAL)/tools/govulncheck $@

$(LICENCE_CHECKER):
	@echo "building go-licenses $(GO_LICENSES), once …"
	@GOBIN=$(CURDIR)/$(LOCAL)/tools go install github.com/google/go-licenses@$(GO_LICENSES)
	@mv $(LOCAL)/tools/go-licenses $@

$(TEMPLATE_LINTER):
	@echo "installing cfn-lint $(CFN_LINT) …"
	@python3 -m venv $(LOCAL)/venv-cfn-lint-$(CFN_LINT)
	@$(LOCAL)/venv-cfn-lint-$(CFN_LINT)/bin/pip install --quiet cfn-lint==$(CFN_LINT)

$(SAM):
	@echo "installing AWS SAM CLI $(SAM_CLI) (a minute) …"
	@python3 -m venv $(LOCAL)/venv-sam-$(SAM_CLI)
	@$(LOCAL)/venv-sam-$(SAM_CLI)/bin/pip install --quiet aws-sam-cli==$(SAM_CLI)

$(CHECKOV_LINTER):
	@echo "installing checkov $(CHECKOV) …"
	@python3 -m venv $(LOCAL)/venv-checkov-$(CHECKOV)
	@$(LOCAL)/venv-checkov-$(CHECKOV)/bin/pip install --quiet checkov==$(CHECKOV)

$(API_FUZZER):
	@echo "installing schemathesis $(SCHEMATHESIS) …"
	@python3 -m venv $(LOCAL)/venv-schemathesis-$(SCHEMATHESIS)
	@$(LOCAL)/venv-schemathesis-$(SCHEMATHESIS)/bin/pip install --quiet schemathesis==$(SCHEMATHESIS)

.PHONY: go-version
go-version:
	@need=$$(awk '$$1 == "go" { print $$2 }' go.mod); \
	command -v go >/dev/null 2>&1 || { echo "Go $$need or newer is not installed"; exit 1; }; \
	have=$$(go env GOVERSION 2>/dev/null) && [ -n "$$have" ] || { echo "this needs Go $$need; here is $$(go version 2>&1 | head -n 1)"; exit 1; }; \
	printf '%s\n%s\n' "$$need" "$${have#go}" | awk -F '[.-]' 'NR == 1 { split($$0, n, ".") } NR == 2 { for (i = 1; i <= 3; i++) if ($$i + 0 != n[i] + 0) exit ($$i + 0 < n[i] + 0) }' || \
		{ echo "this needs Go $$need or newer; here is $$have"; exit 1; }
