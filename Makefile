# Everything a newcomer runs. Only python3 (3.11 or later), pip and make are assumed: each target makes
# its own environment in .venv from the lock files. A stamp marks each finished step, so the next run is quick.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROCESSES ?= --numprocesses auto --maxprocesses 4 --dist worksteal
# What Python has compiled once, of the package and of the tests, is kept for the other processes and the next run.
export PYTHONDONTWRITEBYTECODE :=
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: help demo test quick wheel-test lint types layers check format docs bench lock clean

help:
	@echo "make demo        a real logistic regression: the iterations, the summary, a report and a plot in build/demo"
	@echo "make test        all tests, doctests and documentation pages"
	@echo "make quick       those of them that are quick: the inner loop"
	@echo "make wheel-test  all of them on the wheel that ships, with the lowest and the newest versions"
	@echo "make check       lint, types and layers"
	@echo "make format      let ruff rewrite the layout and what it can mend"
	@echo "make docs        the site, with its pictures and the reference, in build/docs"
	@echo "make bench       speed, beside other packages"
	@echo "make lock        resolve the lock files anew"
	@echo "make clean       remove the environment and what was built"

demo: $(VENV)/.run
	$(BIN)/raphson demo --out build/demo
	@echo
	@echo "The same with your data: . $(BIN)/activate"
	@echo '                         raphson fit "y ~ x" data.csv --report report.html'

test: $(VENV)/.test
	$(BIN)/python -m pytest $(PROCESSES) $(ARGS)

quick: $(VENV)/.test
	$(BIN)/python -m pytest $(PROCESSES) --quick $(ARGS)

wheel-test: $(VENV)/.run
	PYTHON="$(PYTHON)" VENV="$(VENV)" PROCESSES="$(PROCESSES)" ARGS="$(ARGS)" requirements/wheel-test

check: lint types layers

lint: $(VENV)/.check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.check
	$(BIN)/pyright --pythonpath $(BIN)/python

layers: $(VENV)/.check
	$(BIN)/lint-imports

format: $(VENV)/.check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet docs build/docs
	@echo "wrote build/docs/index.html"

# The peers live in an environment of their own, so that none of them can become a need of the package.
bench: .venv-bench/.bench
	.venv-bench/bin/python -m benchmarks $(ARGS)

lock: $(VENV)/.lock
	PATH="$(CURDIR)/$(BIN):$$PATH" requirements/update

clean:
	rm -rf $(VENV) .venv-bench build dist src/*.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/.run: requirements/run.lock pyproject.toml requirements/venv
	@echo "installing what Raphson needs into $(VENV), once: a minute or two"
	sh requirements/venv $(PYTHON) $(VENV)
	$(PIP) --requirement requirements/run.lock
	$(PIP) --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q src
	@touch $@

$(VENV)/.test: requirements/test.lock $(VENV)/.run
	$(PIP) --requirement requirements/test.lock
	@touch $@

$(VENV)/.check: requirements/check.lock $(VENV)/.test
	$(PIP) --requirement requirements/check.lock
	@touch $@

$(VENV)/.docs: requirements/docs.lock $(VENV)/.test
	$(PIP) --requirement requirements/docs.lock
	@touch $@

$(VENV)/.lock: $(VENV)/.run
	$(PIP) uv
	@touch $@

.venv-bench/.bench: requirements/bench.lock pyproject.toml requirements/venv
	sh requirements/venv $(PYTHON) .venv-bench
	.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet --requirement requirements/bench.lock
	.venv-bench/bin/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation --editable .
	@.venv-bench/bin/python -m compileall -q src
	@touch $@
