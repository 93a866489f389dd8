# Every target makes what it needs: a virtual environment in .venv and the packages in it.
# `make demo` and `make test` are all that a newcomer needs; `make help` lists the rest.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
JOBS   ?= 2

# pip installs once for each extra, and again when pyproject.toml changes.
STAMP   = $(VENV)/.installed

.PHONY: help demo test test-all test-memory bench bench-engine results tutorials pictures lint types format clean

help:
	@echo "make demo         train a network on handwritten digits (a minute on first use)"
	@echo "make test         run the tests"
	@echo "make test-all     run the tests, slow ones included"
	@echo "make test-memory  run the tests of compiled code beside memory that nobody may touch"
	@echo "make bench        compare speed with other frameworks (installs them: large)"
	@echo "make bench-engine the same for convolutional and recurrent networks and attention"
	@echo "make results      train on real data and write the accuracies to docs/results.md"
	@echo "make pictures     draw the pictures of the documentation"
	@echo "make tutorials    run the notebooks in docs/tutorials and keep their outputs"
	@echo "make lint         ruff"
	@echo "make types        mypy"
	@echo "make format       let ruff order imports and fix what it can"
	@echo "make clean        remove the environment and everything that was built"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"Lamina needs Python 3.11 or newer and {sys.executable} is {v[0]}.{v[1]}. Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(STAMP)-%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$*]"
	@touch $@

demo: $(STAMP)-demo
	$(BIN)/python examples/digits.py

test: $(STAMP)-test
	$(BIN)/python -m pytest -q -n $(JOBS) -m "not slow"

test-all: $(STAMP)-test
	$(BIN)/python -m pytest -q -n $(JOBS)

test-memory: $(STAMP)-test
	PYTHONPATH=tests $(BIN)/python -m guards

bench: $(STAMP)-bench
	$(BIN)/python -m benchmarks

bench-engine: $(STAMP)-bench
	$(BIN)/python -m benchmarks engine

# LAMINA_DATA names the folder with the data; what is not there is downloaded.
results: $(STAMP)-bench
	$(BIN)/python -m benchmarks.results --write

# LAMINA_DATA names the folder with MNIST's files; photographs.py says what else it needs.
pictures: $(STAMP)-pictures
	@for script in $$(ls docs/images/scripts/*.py | grep -v common.py); do \
	    echo "$$script" && $(BIN)/python $$script || exit 1; done

tutorials: $(STAMP)-notebooks
	$(BIN)/python docs/tutorials/run.py

lint: $(STAMP)-test
	$(BIN)/python -m ruff check .

types: $(STAMP)-test
	$(BIN)/python -m mypy

format: $(STAMP)-test
	$(BIN)/python -m ruff check --fix .

clean:
	rm -rf $(VENV) build dist demo-output .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
