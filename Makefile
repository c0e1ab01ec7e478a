# Everything here needs python3 (3.10 or later) and make; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
# Most tests wait for processes and disks.
WORKERS ?= 4

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs matrix servers picture wheel clean

help:  ## show this list
	@grep -hE '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.run  ## upgrade a populated database, and see what plain upgrade would have lost
	@$(BIN)/python scripts/demo.py

test: $(VENV)/.test  ## run all tests; ARGS="-k deploy" for some
	@# Most tests start processes, and where PYTHONDONTWRITEBYTECODE is set each would compile anew.
	@$(BIN)/python -m compileall -q flask_safemigrate
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(ARGS)

lint: $(VENV)/.test $(VENV)/.lint  ## style, types and import layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.docs  ## build the documentation into docs/_build/html
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

matrix: $(VENV)/.run  ## run the tests over Pythons and dependency versions; ARGS="--ends --short" for less
	$(BIN)/python scripts/matrix.py $(ARGS)

servers:  ## start newer database servers beside the system's; ARGS=--stop, ARGS=--remove
	@$(PYTHON) scripts/servers.py $(ARGS)

picture: $(VENV)/.run  ## make the README's picture anew from real output
	$(BIN)/python scripts/picture.py

wheel: $(VENV)/.run  ## build the wheel, install it into an environment of its own and try it
	$(BIN)/python scripts/wheel.py

clean:  ## remove everything that was made
	rm -rf $(VENV) build dist docs/_build .pytest_cache .mypy_cache .ruff_cache .hypothesis \
		.import_linter_cache .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or later is needed; say make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install -qq -e .
	@touch $@

$(VENV)/.test $(VENV)/.lint $(VENV)/.docs: $(VENV)/.%: pyproject.toml | $(VENV)/pyvenv.cfg
	@# --group came with pip 25.1.
	$(BIN)/python -m pip install -qq 'pip>=25.1'
	$(BIN)/python -m pip install -qq -e . --group $*
	@touch $@
