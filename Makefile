# make demo     install into .venv, train on synthetic photos, classify one
# make studio   train and use models in the browser, at http://127.0.0.1:8090
# make serve    Swagger UI at http://127.0.0.1:5000/ui
# make test     run the fast tests; make test-slow: the slow ones; make test-systems: those with other systems
# make check    check format, style, types, security and imports between packages
# make coverage   show the coverage by package recorded by make test COVERAGE=1
# make benchmarks   run all benchmarks and update docs/benchmarks.md
#
# Python 3.10 to 3.12 is needed: make demo PYTHON=python3.12

PYTHON ?= python3
VENV ?= .venv
HOST ?= 127.0.0.1
PORT ?= 5000
WORKERS ?= 2

BIN := $(VENV)/bin
VENV_BUILT := $(VENV)/.built
RUN_INSTALLED := $(VENV)/.installed
STUDIO_INSTALLED := $(VENV)/.installed-studio
TEST_INSTALLED := $(VENV)/.installed-test
CHECK_INSTALLED := $(VENV)/.installed-check
# More processes than processors: many tests wait for servers and other processes.
# Where CI is set, pytest compares unequal files byte by byte, which may take hours.
# The profile of hypothesis draws the same inputs each time, without a time limit for each.
PYTEST = env -u CI -u BUILD_NUMBER $(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest \
	-n 3 --dist worksteal --durations=25 --hypothesis-profile ci
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: demo studio serve test test-slow test-systems coverage benchmarks check check-types check-others install clean help
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -9

demo: $(RUN_INSTALLED)
	$(BIN)/topgraft demo

studio: $(STUDIO_INSTALLED)
	$(BIN)/topgraft studio

serve: $(RUN_INSTALLED)
	$(BIN)/topgraft serve --host $(HOST) --port $(PORT) --workers $(WORKERS)

test: $(TEST_INSTALLED)
	$(if $(COVERAGE),$(BIN)/python -m coverage erase)
	$(PYTEST)

test-slow: $(TEST_INSTALLED)
	$(PYTEST) -m "(slow or browser) and not system"

# Label Studio, Elyra and Spark, which are installed into environments of their own.
test-systems: $(TEST_INSTALLED)
	$(PYTEST) -m system

coverage: $(TEST_INSTALLED)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage json --quiet -o - | $(BIN)/python .ci/coverage_by_package.py

benchmarks: $(TEST_INSTALLED)
	$(BIN)/python -m benchmarks

# Types take as long as all others together: make -j 2 check.
check: check-types check-others

check-types: $(CHECK_INSTALLED)
	$(BIN)/mypy

check-others: $(CHECK_INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/hadolint Dockerfile .sqa/Dockerfile
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive api model topgraft
	$(BIN)/python -m pytest tests/test_floors.py

install: $(RUN_INSTALLED)

# The installation changes only with setup.cfg: the code is installed in editable mode.
$(RUN_INSTALLED): setup.cfg pyproject.toml | $(VENV_BUILT)
	$(PIP) install --editable .
	touch $@

# With the program rclone, for datasets and models in remote storage.
$(STUDIO_INSTALLED): setup.cfg pyproject.toml | $(VENV_BUILT)
	$(PIP) install --editable ".[storage]"
	touch $(RUN_INSTALLED) $@

$(TEST_INSTALLED): setup.cfg pyproject.toml | $(VENV_BUILT)
	$(PIP) install --editable ".[test]"
	touch $(RUN_INSTALLED) $@

$(CHECK_INSTALLED): setup.cfg pyproject.toml | $(VENV_BUILT)
	$(PIP) install --editable ".[test,dev]"
	touch $(RUN_INSTALLED) $(TEST_INSTALLED) $@

$(VENV_BUILT):
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 13))' || { \
	    echo "Topgraft needs Python 3.10, 3.11 or 3.12, found $$($(PYTHON) --version 2>&1 || echo no $(PYTHON))."; \
	    echo "Name another one, such as: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV) || { \
	    echo "Python could not make a virtual environment. On Debian and Ubuntu: sudo apt install python3-venv"; \
	    exit 1; } >&2
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
