# Needs Python 3.11 or newer, pip and make; no root, no cross compiler, no emulator.
#   make compress BOARD=stm32f4      the demonstration: firmware.elf and report.html
#   make test                        the test suite
BOARD ?= stm32f4
ARGS ?=
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
METADATA := pyproject.toml setup.py constraints.txt
INSTALL := -m pip install --quiet --disable-pip-version-check
PYTEST_ARGS ?= -n 2 --dist worksteal
# Two workers on two threads each wait for each other on two cores.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

# One environment, made in two steps: what a run needs, and what the tests need on top.
RUN := $(VENV)/.installed-run
TEST := $(VENV)/.installed-test

.PHONY: fuzz compress test test-all test-tflite-runtime lint format golden bench-compress bench-deploy clean help

help:
	@sed -n 's/^#   //p' Makefile

compress: $(RUN)
	$(BIN)/mcuprune compress --board $(BOARD) $(ARGS)

test: $(TEST)
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

# Damaged model files by the hundred thousand; FUZZ_SEED=1 for others.
fuzz: $(TEST)
	FUZZ_CASES=$(or $(FUZZ_CASES),100000) $(BIN)/python -m pytest tests/fuzz $(PYTEST_ARGS)

test-all: $(TEST) test-tflite-runtime
	$(PYTEST) $(PYTEST_ARGS)

lint: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files 'codegen/kernels/*.[ch]' | xargs $(BIN)/clang-format --dry-run --Werror

format: $(TEST)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	git ls-files 'codegen/kernels/*.[ch]' | xargs $(BIN)/clang-format -i

# Rewrites the committed generated files; the diff is the review.
golden: $(TEST)
	UPDATE_GOLDEN=1 $(BIN)/python -m pytest tests/golden

# Compressed networks against their controls; goes on where it stopped.  Days for all: ARGS="--only har --seeds 0 1"
bench-compress: $(RUN)
	PYTHONPATH=. $(BIN)/python -m tests.bench.compress $(ARGS)

# Deployed MLPerf Tiny models beside other tools; MCUPRUNE_DATA names the folder that holds mlperf_tiny/models.
bench-deploy: $(TEST)
	PYTHONPATH=. $(BIN)/python tests/bench/deploy.py --page docs/results/deploy.md $(ARGS)

# tflite-runtime loads no model beside NumPy 2, hence an environment of its own.
test-tflite-runtime: .venv-tflite-runtime/.installed
	.venv-tflite-runtime/bin/python -m pytest --noconftest -o addopts=-rs tests/verify/test_interpreter.py

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=..." if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(RUN): $(BIN)/pip $(METADATA)
	@echo "Setting up $(VENV), once; this takes a minute or two."
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[firmware,oracle]'
	touch $@

$(TEST): $(RUN)
	$(BIN)/python $(INSTALL) -c constraints.txt -e '.[firmware,oracle,keras,test]'
	touch $@

.venv-tflite-runtime/.installed: constraints.txt
	$(PYTHON) -m venv .venv-tflite-runtime
	.venv-tflite-runtime/bin/python $(INSTALL) 'numpy<2' 'tflite-runtime==2.14.0' pytest
	touch $@

clean:
	rm -rf $(VENV) .venv-tflite-runtime build dist *.egg-info
