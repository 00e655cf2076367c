# The commands of the repository; `make help` lists them. Everything else is set up on the way.
.DEFAULT_GOAL := help
.SILENT:
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory
SHELL := /bin/sh

PORT ?= 8080
# The first Python that is new enough. It is called, not only found: a version manager's shim may exist for a version that does not.
COMMA := ,
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do $$python -c '$(NEW_ENOUGH)' 2>/dev/null && { echo $$python; break; }; done)

BIN := .venv/bin
DECLARED := pyproject.toml Makefile $(wildcard requirements/*.txt)
# Setup is skipped while what it was made from is unchanged, whatever the files' dates say (a checkout changes those).
FINGERPRINT := $(shell cat $(DECLARED) | cksum | tr -d ' ')
STAMP := .venv/ready-$(FINGERPRINT)
UV := UV_NO_PROGRESS=1 $(BIN)/uv
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

.PHONY: help run test nightly mutants synth bench crosscheck lint types format lock dynamodb clean setup python

help: ## List the targets
	awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(STAMP) ## Run the system with its demonstration on http://127.0.0.1:8080 (PORT= to change); Ctrl-C stops it
	exec $(BIN)/mailtailor up --demo --port $(PORT)

test: $(STAMP) ## Run all tests: unit, integration, infrastructure, then end to end on a system of their own
	$(BIN)/pytest -q -n auto
	$(BIN)/pytest -q tests/e2e

synth: $(STAMP) ## Write the CloudFormation templates to cdk.out/, without an AWS account
	$(BIN)/python -m infra.app

nightly: $(STAMP) ## Compare segments with whole histories a million times, and let functions die at their requests
	$(BIN)/python -m tests.nightly

mutants: $(STAMP) ## Plant bugs into the segment engine and the order of effects, and see that the tests find each
	$(BIN)/python -m tests.mutants

bench: $(STAMP) ## Run the benchmarks, print a table and write bench.json
	$(BIN)/python -m tests.bench

crosscheck: $(STAMP) ## Compare segments with hand-written SQL over 3,000,000 events (a few minutes)
	$(BIN)/python -m tests.crosscheck

lint: $(STAMP) ## Check style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(STAMP) ## Check types, strictly
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock: $(STAMP) ## Resolve every lock again, with hashes
	$(COMPILE) --upgrade layers/runtime/requirements.in -o layers/runtime/requirements.txt >/dev/null
	$(COMPILE) --upgrade layers/archive/requirements.in -o layers/archive/requirements.txt >/dev/null
	$(COMPILE) --upgrade layers/images/requirements.in -o layers/images/requirements.txt >/dev/null
	$(COMPILE) --upgrade layers/publishing/requirements.in -o layers/publishing/requirements.txt >/dev/null
	$(COMPILE) --upgrade layers/webhooks/requirements.in -o layers/webhooks/requirements.txt >/dev/null
	$(COMPILE) --upgrade requirements/uv.in -o requirements/uv.txt >/dev/null
	$(COMPILE) --upgrade requirements/ministack.in -o requirements/ministack.txt >/dev/null
	$(COMPILE) --upgrade pyproject.toml --all-extras \
		-c layers/runtime/requirements.txt -c layers/archive/requirements.txt -c layers/images/requirements.txt \
		-c layers/publishing/requirements.txt -c layers/webhooks/requirements.txt \
		-o requirements/dev.txt >/dev/null
	echo "The locks are new. Review them with: git diff --stat"

dynamodb: ## Fetch Amazon's own DynamoDB engine for the store tests, which leave it out otherwise (needs Java and Maven)
	mvn --quiet --batch-mode --file tests/integration/dynamodb_local/pom.xml dependency:copy-dependencies \
		-DoutputDirectory=$(CURDIR)/.local/dynamodb-local -DincludeScope=runtime

clean: ## Remove everything that was built, imported or cached
	rm -rf .venv .build .local cdk.out bench.json .pytest_cache .mypy_cache .ruff_cache .hypothesis

setup: $(STAMP)

# $(error) prints one line; a failing command would be followed by one of make's own.
python:
	$(if $(filter yes,$(shell $(or $(PYTHON),false) -c '$(NEW_ENOUGH)' 2>/dev/null && echo yes)),,$(error Mailtailor needs Python 3.11 or newer$(if $(PYTHON),$(COMMA) and $(PYTHON) is older or missing). Install one or name it: make PYTHON=/path/to/python3))

# An environment that an interrupt left half made is made again. What Python says of the interrupt is told only of a failure.
$(STAMP): | python
	echo "Setting up .venv ..."
	$(if $(wildcard .venv/ready-*),$(BIN)/python -c '$(NEW_ENOUGH)' 2>/dev/null,false) \
		|| { said=$$($(PYTHON) -m venv --clear .venv 2>&1) || { echo "$$said" >&2; exit 1; }; }
	rm -f .venv/ready-*
	said=$$($(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt 2>&1) \
		|| { echo "$$said" >&2; exit 1; }
	$(UV) pip sync --quiet --require-hashes requirements/dev.txt
	$(UV) pip install --quiet --no-deps --no-build-isolation -e .
	touch $@

.DEFAULT:
	$(error There is no target "$@". The targets are: run test nightly mutants synth bench crosscheck lint types format lock dynamodb clean help)
