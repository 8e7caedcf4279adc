# Everything a newcomer needs: `make backtest` runs the main job, `make test` runs every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet install --require-hashes --only-binary :all:

.PHONY: help backtest test lint types imports tests bench lock docs clean

help:  ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

backtest: $(VENV)/runtime  ## set everything up and run the 2014 contract through every strategy
	$(BIN)/fairhash backtest config.yaml

test: lint types imports tests  ## set everything up and run every check

lint: $(VENV)/checks  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/checks  ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/checks  ## import-linter: imports run downwards only
	$(BIN)/lint-imports

tests: $(VENV)/checks  ## pytest
	$(BIN)/python -m pytest

bench: $(VENV)/checks  ## benchmarks side by side, as ratios
	$(BIN)/python -m benchmarks

docs: $(VENV)/runtime  ## remake the generated reference pages and schemas
	$(BIN)/fairhash docs

lock: $(VENV)/checks  ## pin the newest versions with hashes
	$(BIN)/python -m pip --quiet install uv
	cd requirements && ../$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --upgrade runtime.in -o runtime.txt
	cd requirements && ../$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --upgrade checks.in -o checks.txt

clean:  ## remove the environment and caches; results in runs/ stay
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/runtime: requirements/runtime.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "make: $(PYTHON) cannot make an environment: install python3-venv (3.11 or newer) and try again"; exit 1; }
	@echo "installing pinned packages (once, a minute or two)"
	@$(PIP) -r requirements/runtime.txt
	@$(BIN)/python -m pip --disable-pip-version-check --quiet install --no-build-isolation --no-deps --editable .
	@touch $@

$(VENV)/checks: $(VENV)/runtime requirements/checks.txt
	@$(PIP) -r requirements/checks.txt
	@touch $@
