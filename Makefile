# make run: the product. make test: the suite but for what is marked `long`. Both need only python3 (3.11 or newer) and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TSC := node_modules/.bin/tsc
HOST ?= 127.0.0.1
PORT ?= 8000
PYTEST_ARGS ?=

.PHONY: run install test test-long test-install bench bench-peers chaos check settings lock clean

run: install
	@exec $(BIN)/python manage.py serve --host $(HOST) --port $(PORT)

install: $(VENV)/.installed

test-install: $(VENV)/.test-installed

# Debian keeps venv's ensurepip in a package of its own; as root it can be had.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Parley needs Python 3.11 or newer; set PYTHON=...")'
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get update -qq && apt-get install -y -qq python3-venv; } || { echo "Python's venv is missing: install it (on Debian: apt-get install python3-venv)." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
	@# A pip of before 2024 takes the newest release for what another package wants with an extra, and then misses its hash.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-pip.txt || { rm -rf $(VENV); exit 1; }

$(VENV)/.installed: requirements.txt | $(BIN)/pip
	@echo "Installing the requirements into $(VENV); this takes a minute or more."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.test-installed: requirements-test.txt | $(BIN)/pip
	@echo "Installing the test requirements into $(VENV); this takes a minute or more."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-test.txt
	@touch $@ $(VENV)/.installed

# Where no bytecode is kept each process of tests would compile all of them anew, which doubles what they take to begin.
test test-long: export PYTHONDONTWRITEBYTECODE =

test: test-install
	@sh tests/install_browser.sh
	@$(MAKE) --silent $(TSC) || true # without it the test of the types is skipped, or fails in CI
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# What `make test` leaves out, marked `long`: every step of a turn killed, chaos, anything in any order, real wheels, outages.
test-long: test-install
	$(BIN)/python -m pytest -m long $(PYTEST_ARGS)

bench: test-install
	$(BIN)/python -m bench $(BENCH_ARGS)

# Chainlit comes from PyPI, into .bench-peers/.
bench-peers: test-install
	$(BIN)/python -m bench.peers $(BENCH_ARGS)

chaos: test-install
	$(BIN)/python -m chaos $(CHAOS_ARGS)

$(TSC): package-lock.json
	@sh tests/install_typescript.sh
	@touch $@

check: test-install $(TSC)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports --no-cache --no-logo
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run
	$(BIN)/python -m project.page_types
	$(TSC) --project jsconfig.json

# docs/settings.md and the README's table, from the tables of settings; a test holds that they are what this makes.
settings: test-install
	$(BIN)/python -m project.settings_page

# Needs pip-tools' successor uv on the PATH; the compiled files name no index.
lock:
	echo pip | uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11 --universal - -o requirements-pip.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal requirements.in -o requirements.txt
	uv pip compile --quiet --generate-hashes --no-emit-index-url --no-header --python-version 3.11 --universal -c requirements.txt requirements-test.in -o requirements-test.txt

clean:
	rm -rf $(VENV) node_modules types/made .pytest_cache .ruff_cache .mypy_cache
