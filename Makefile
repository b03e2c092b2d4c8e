# make demo: a simulated node, start to verified certificate · make test: everything, sets itself up
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test check bench evaluate matrix docs clean

help:
	@echo "make demo   accept a simulated node; leaves demo/certificate.html"
	@echo "make test   run all tests (sets itself up)"
	@echo "make check  ruff, mypy, import-linter"
	@echo "make evaluate  good nodes and faults, in simulation; writes docs/reference/evaluation.md (EVALUATE=--help: sizes)"
	@echo "make matrix try all faults on all checks, in simulation (a minute); writes checks/matrix.json and its page"
	@echo "make docs   write the generated pages of docs/reference anew"
	@echo "make bench  timings, as ratios against a floor"

demo: $(VENV)/.run
	rm -rf demo
	$(BIN)/gpuaccept demo --out demo

test: $(VENV)/.dev
	sh scripts/test-tools.sh
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

evaluate: $(VENV)/.dev
	$(BIN)/python scripts/evaluate.py $(EVALUATE)

matrix: $(VENV)/.dev
	$(BIN)/python scripts/make_matrix.py
	$(BIN)/python scripts/make_docs.py matrix.md

docs: $(VENV)/.dev
	$(BIN)/python scripts/make_docs.py

bench: $(VENV)/.dev
	$(BIN)/python scripts/bench.py

clean:
	rm -rf $(VENV) demo build dist

$(VENV)/.run: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "gpuaccept needs Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "no venv module: on Debian and Ubuntu, apt install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@
