# `make demo` and `make test` set up everything they need in .venv.
PYTHON ?= python3
# More options for pip, an index with CPU builds of PyTorch for example.
PIP_FLAGS ?=
# Other Pythons that release-check tries without PyTorch: `make release-check PYTHONS="3.12 3.13"`.
PYTHONS ?=
# Processes that `make test` runs tests in: `make test JOBS=8`.
JOBS ?= 2
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.installed

.PHONY: help demo test test-long families neighbours lint format clean coverage kernels-compiled docs docs-blocks release-check

help: ## what there is to make
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "circuitspex needs Python 3.11 or newer; name one with PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile $(PIP_FLAGS) -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(READY) ## find the IOI circuit of SmolLM2-135M; writes runs/ioi
	$(BIN)/circuitspex find --model smollm2-135m --task ioi --components heads --prompts 8 --budget 100 --out runs/ioi

lint: $(READY) ## ruff, mypy and the one-way imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint ## lint, then all tests
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile

test-long: $(READY) ## tests that take minutes: notebooks, many kills, all cases of what is sampled
	$(BIN)/python -m pytest -m long

docs: $(READY) ## build the documentation site strictly, without a network; writes site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-blocks: $(READY) ## run every block of code and command of the docs and README (more than an hour)
	$(BIN)/python -m pytest -m blocks tests/documents

families: $(READY) ## try every family of models (20 minutes); writes docs/models.md
	$(BIN)/python tests/families/run.py

neighbours: $(READY) ## try SAELens, nnsight, shapiq and others in environments of their own; writes docs/neighbours.md
	PIP_FLAGS="$(PIP_FLAGS)" $(BIN)/python tools/neighbours.py --out docs/neighbours.md

coverage: $(READY) ## how often intervals and tests are right, on 1,200 games whose truth is known (minutes)
	$(BIN)/python tools/bench/intervals.py --games 1200 --processes 2 --out docs/benchmarks/coverage.md

kernels-compiled: $(READY) ## compile the kernels for GPUs that need not be there (minutes); writes the table in docs
	$(BIN)/python tools/compile_kernels.py --out docs/benchmarks/kernels_compiled.md

release-check: $(READY) ## build the wheel, install it with the lowest and the newest of what it needs, and try it
	$(BIN)/python tools/release_check.py $(patsubst %,--python %,$(PYTHONS))

format: $(READY) ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove the environment and what was made
	rm -rf $(VENV) runs build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
