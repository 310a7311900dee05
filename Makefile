# Everything a person or CI does with this checkout. Needs Python 3.11 or newer, make and git; the rest is installed
# into .venv, which is made when there is none.

PYTHON ?= python3
BIN := .venv/bin
CORPORA := $(wildcard ../shared/corpora)
export SEQBENCH_TEST_CORPORA ?= $(if $(CORPORA),$(abspath $(CORPORA)))
ifeq ($(SEQBENCH_TEST_CORPORA),)
unexport SEQBENCH_TEST_CORPORA
endif

.PHONY: quickstart test soak check report api clean

quickstart: .venv/installed   ## run the quick suite and render its report
	$(BIN)/seqbench quickstart

test: .venv/installed-dev     ## every test
	OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist worksteal

soak: .venv/installed-dev     ## a hundred kills and 10,000 inputs per reader; about half an hour on two quiet cores
	OMP_NUM_THREADS=1 SEQBENCH_SOAK_KILLS=100 SEQBENCH_FUZZ_EXAMPLES=10000 \
	  nice -n 5 $(BIN)/pytest -q tests/faults tests/unit/test_hostile_input.py

check: .venv/installed-dev    ## lint, format, types, the law of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/test_architecture.py tests/test_docs.py

report: .venv/installed-dev   ## render the report of every study under results/, and the results in README
	$(BIN)/python docs/make_reports.py

api: .venv/installed          ## make docs/api.md from the docstrings
	$(BIN)/python docs/make_api.py

clean:                        ## remove the environment and caches, keep results
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache build dist

# The libraries that a report's bytes depend on are those of constraints.txt, so that a committed one is made again.
.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable .
	touch $@

.venv/installed-dev: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch .venv/installed $@
