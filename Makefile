# Works on a bare machine with python3 (3.11 or newer) and make: each target makes .venv by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Test processes. Four suit two cores: two begin with tests that wait for leases, restarts and fail-overs, and two with tests
# that compute (tests/conftest.py). Five were no faster.
AT_ONCE ?= 4
# More options of pytest for make fast.
OPTIONS ?=
SECONDS ?= 60
SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')

# What `make check` tests: needs no server and starts few processes.
FAST := tests/unit tests/contract

# Without Python's compiled files every test process compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo check fast test lint format style types layers docs bench bench-compare bench-keep soak clean help

help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST)

$(STAMP): pyproject.toml constraints.txt
	@echo "Installing into $(VENV): some minutes, about 600 MB"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)  ## render a real tutorial on this machine
	$(BIN)/previewops up --demo

check: $(STAMP)  ## lint and the fast tests, in under a minute
	@begin=$$(date +%s); $(MAKE) --no-print-directory --jobs 2 --keep-going types fast format style layers; \
	status=$$?; echo "make check took $$(($$(date +%s) - begin)) s"; exit $$status

fast: $(STAMP)
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal $(OPTIONS) $(FAST)

test: $(STAMP)  ## all tests, on a private Redis
	$(BIN)/python -m pytest --numprocesses $(AT_ONCE) --dist worksteal

lint: format style types layers  ## format, style, types, layers

format: $(STAMP)
	$(BIN)/ruff format --check .

style: $(STAMP)
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

layers: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP)  ## build the documents as a site in site/
	$(BIN)/python -m tests.docs.build_site

soak: $(STAMP)  ## random faults under load, SECONDS=60 SEED=any
	SOAK_SECONDS=$(SECONDS) SOAK_SEED=$(SEED) $(BIN)/python -m pytest -s tests/fault/test_soak.py

bench: $(STAMP)  ## measure beside peers, in under 15 minutes, and write bench.json
	$(BIN)/python -m benchmarks.suite

bench-compare: $(STAMP)  ## ratios of bench.json to benchmarks/baseline.json
	$(BIN)/python -m benchmarks.compare

bench-keep: $(STAMP)  ## make bench.json the baseline, and write the table of docs/benchmarks.md
	$(BIN)/python -m benchmarks.compare --keep

clean:  ## remove what make made
	rm -rf $(VENV) dist build site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
