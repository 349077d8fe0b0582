# Two commands do everything: `make run` and `make test`. Each target does what it needs first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-$(shell cat requirements.lock requirements-dev.lock | cksum | cut -d' ' -f1)

.PHONY: help setup run test soak slice lint bench lock clean

help:  ## Show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## Make .venv from the lock files

$(READY):
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	@touch $@

run: setup  ## Start everything on embedded defaults, with venue sandboxes
	$(BIN)/python api_manager.py --serve --sandbox

test: setup  ## Run the test suite
	$(BIN)/python -m pytest -m "not soak"

soak: setup  ## Run the long counts (under an hour)
	$(BIN)/python -m pytest -m soak --timeout 3600

slice: setup  ## Run the soak with small counts (about ten minutes)
	VANTA_SOAK_KILLS=40 VANTA_SOAK_WS_KILLS=40 VANTA_SOAK_STACK_KILLS=4 \
		VANTA_SOAK_ENTITY_KILLS=40 VANTA_SOAK_VALIDATOR_KILLS=20 VANTA_SOAK_MUTATIONS=1000 VANTA_SOAK_HOTKEYS=10 \
		timeout 1200 $(BIN)/python -m pytest -m soak tests/end_to_end tests/journal tests/ws_server --timeout 900

lint: setup  ## Check style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup  ## Print each hot path as a ratio to a plain baseline
	$(BIN)/python -m bench

lock:  ## Pin requirements*.in anew
	rm -rf .lock-venv && $(PYTHON) -m venv .lock-venv
	.lock-venv/bin/pip install --quiet -r requirements.in
	(echo "# Pinned by make lock from requirements.in"; .lock-venv/bin/pip freeze) > requirements.lock
	.lock-venv/bin/pip install --quiet -r requirements-dev.in
	(echo "# Pinned by make lock from requirements.in and requirements-dev.in"; .lock-venv/bin/pip freeze) > requirements-dev.lock
	rm -rf .lock-venv

clean:  ## Remove what the other targets made (never the data directory)
	rm -rf $(VENV) .sdk-venvs .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
