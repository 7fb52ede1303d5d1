SHELL := bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test check conformance chaos bench stack stack-stop dashboard screenshots \
  migration lock wheel clean
python := .venv/bin/python
folders := $(wildcard workers local benchmarks tests)
sql := $(wildcard supabase/schemas supabase/snippets supabase/tests)
chaos := tests/chaos tests/races tests/property tests/e2e/test_hostile_chaos.py
ROUNDS ?= 10
on_stack := $(python) -m local.stack
# PG=17, with every target: PostgreSQL 17 in place of 15
export PG ?= 15
ifeq ($(PG),17)
# Asked for each command: what set-up installs may be it.
export CHUNKWISE_PG_BIN = $(shell local/postgres17.sh bin)
endif

help: ## Show this
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Install what is missing
	@local/setup.sh

demo: setup $(if $(KEEP),dashboard) ## Sync a fake fleet of 26 workspaces and show it; KEEP=1: leave it running
	@exec $(python) -m local.demo $(if $(KEEP),--keep)

test: setup dashboard ## Run every test, or T=… (a file, folder or word); PG=17: on PostgreSQL 17
ifeq ($(T),)
	@$(python) -m local.prove; proved=$$?; $(python) -m pytest -q -n auto && exit $$proved
else
	@exec $(python) -m local.chosen "$$T"
endif

check: setup ## Format, lint, types, imports, schema
	@$(python) -m local.migration --check
	@$(python) -m local.schema_doc --check
	@$(python) -m local.upgrade --check
	@.venv/bin/ruff format --check --quiet . || { .venv/bin/ruff format --check . ; exit 1; }
	@.venv/bin/ruff check --quiet .
	@$(python) -m mypy $(folders)
	@.venv/bin/lint-imports --no-cache
	@node_modules/.bin/tsc -p dashboard
	@said=$$(node_modules/.bin/biome check --error-on-warnings dashboard 2>&1) || { echo "$$said"; exit 1; }
	@PYTHONWARNINGS=ignore .venv/bin/sqlfluff lint --disable-progress-bar --processes 0 $(sql)
	@$(on_stack) cli --name check -- db lint -s public,sync --fail-on warning
	@$(on_stack) cli --name check -- db advisors --type all --level warn --fail-on warn

conformance: setup ## Prove that a worker speaks the protocol: WORKER='its command' (default: our own)
	@exec $(python) -m tests.conformance.kit $(WORKER)

chaos: setup ## Kill workers and race clients ROUNDS times (10), differently each time; T=… one of these files
	@for round in $$(seq $(ROUNDS)); do ROUND=$$round $(python) -m pytest -q -n auto $(or $(T),$(chaos)) || exit; done

bench: setup dashboard ## Measure against the limit and a bare loop
	@exec $(python) -m benchmarks

stack: setup dashboard ## Start the local world and leave it running; writes .env.local
	@$(on_stack) up
	@umask 077 && $(on_stack) env > .env.local
	@echo 'The local Supabase is running: its settings are in .env.local'
	@echo 'The page, at http://127.0.0.1:8787: .venv/bin/chunkwise operators add EMAIL --password, then .venv/bin/chunkwise dashboard'

stack-stop: setup ## Stop it
	@$(on_stack) down
	@rm -f .env.local

dashboard: setup ## Build the page where `chunkwise dashboard` finds it
	@local/page.sh

screenshots: setup dashboard ## Write pictures of the page in each state into screenshots/
	@exec $(python) -m local.screens

migration: setup ## Write supabase/migrations, upgrades and docs/schema.md from supabase/schemas
	@$(python) -m local.migration
	@$(python) -m local.schema_doc
	@$(python) -m local.upgrade

wheel: setup dashboard ## Build the page and the package into dist/
	@$(python) -m hatchling build --target wheel

lock: ## Pin requirements.in anew
	@local/lock.sh

clean: ## Remove all that was installed or written here
	@[ ! -x $(python) ] || $(on_stack) erase
	@rm -rf .venv node_modules dist screenshots workers/chunkwise/dashboard/page .env.local .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
	@find . -name __pycache__ -prune -exec rm -rf {} +
