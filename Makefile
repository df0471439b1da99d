# Everything a person needs: `make run` and `make test` do their whole set-up, in .venv.
# They need nothing but make and Python 3.11, 3.12 or 3.13 (PYTHON=... chooses one).

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo $$p; break; }; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run test check bench drill live-drill schema models clean

run: .venv/run.stamp
	@$(BIN)/gridtop

test: .venv/dev.stamp
	@$(BIN)/python -m pytest -n auto

check: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

drill: .venv/dev.stamp
	$(BIN)/python -m benchmarks.drill

live-drill: .venv/dev.stamp
	$(BIN)/python -m benchmarks.live_drill

bench: .venv/dev.stamp
	@for file in $$(grep -l __main__ benchmarks/*.py | grep -v drill); do $(BIN)/python $$file || exit 1; done

schema: .venv/run.stamp
	$(BIN)/gridtop config schema > docs/config.schema.json

# The shipped models, from nothing: twelve simulated hours, and what is learned from them (docs/training.md).
models: .venv/train.stamp
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
	&& $(BIN)/gridtop simulate --hours 12 --seed 11 -o "$$folder/hours" \
	&& $(BIN)/gridtop train forest isolation autoencoder --data "$$folder/hours" -o models --force

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "gridtop needs Python 3.11, 3.12 or 3.13 with its venv module (Debian: python3-venv)" >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) --version)" >&2
	@$(PYTHON) -m venv .venv

.venv/run.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing gridtop into .venv (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing gridtop and what its tests need into .venv (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable ".[dev]"
	@touch $@ .venv/run.stamp

.venv/train.stamp: pyproject.toml constraints.txt | .venv/bin/python
	@echo "installing gridtop and what training needs into .venv (once)" >&2
	@$(PIP) install --constraint constraints.txt --editable ".[train,parquet]"
	@touch $@ .venv/run.stamp
