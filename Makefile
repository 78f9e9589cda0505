# Tollgate. `make up` runs it, `make test` proves it; both need only Python 3.11+ with venv, make and git.
#
#   make up           everything, with the demo company;  make up EMPTY=1  your own organisation
#   make setup        only the environment (.venv) and the front-end files (node_modules)
#   make test         the tests                           make test-slow   those that kill, crash and fill
#   make test-meetings  three monthly reviews at the demo company, in a browser
#   make lint         style, types, arrows between apps, templates, migrations, deployment checks
#   make bench        speed and size, BENCH_SCALE=1 is full scale
#   make demo-reset   the demo company as it was on the first day
#   make lock         new versions of everything
#
# PORT (8000), TOLLGATE_HOME (data folder), PYTHON (python3) and what docs/configuration.md lists are honoured.

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
PYTHON ?= python3
PY := .venv/bin/python
export PATH := $(CURDIR)/.venv/bin:$(PATH)
export EMPTY
BENCH_SCALE ?= 1
export BENCH_SCALE
# Two test processes, each with servers of its own; SPREAD= runs one after the other, as a debugger needs it.
SPREAD ?= -n 2 --dist worksteal
# The slower ones share what their file made once, as the demo company.
SPREAD_FILES ?= -n 2 --dist loadfile

# Where HOME cannot be written, caches lie in the project: uv fails without, npm and pip complain.
ifneq ($(shell test -n "$$HOME" && test -w "$$HOME" && echo writable),writable)
export UV_CACHE_DIR ?= $(CURDIR)/.cache/uv
export PIP_CACHE_DIR ?= $(CURDIR)/.cache/pip
export npm_config_cache ?= $(CURDIR)/.cache/npm
endif

.PHONY: up setup test test-slow test-meetings lint bench demo-reset lock
.DEFAULT_GOAL := up

# exec, so that Ctrl-C and SIGTERM reach it; and should make itself be killed, the kernel tells it to stop.
up: setup
	@exec $$(command -v setpriv >/dev/null && echo setpriv --pdeathsig TERM) $(PY) manage.py up

setup: .venv/ready node_modules/ready

test: setup
	@$(PY) -m tests.browser
	$(PY) -m pytest $(SPREAD) -m "not slow and not meetings" $(ARGS)

test-slow: setup
	@$(PY) -m tests.browser
	$(PY) -m pytest $(SPREAD_FILES) -m "slow and not meetings" $(ARGS)

test-meetings: setup
	@$(PY) -m tests.browser
	$(PY) -m pytest -m meetings $(ARGS)

bench: setup
	$(PY) -m bench $(ARGS)

demo-reset: setup
	@$(PY) manage.py demo_reset

# The real data folder is left alone; deployment checks are those of an installation behind https.
lint: export TOLLGATE_HOME := $(CURDIR)/.build/lint-home
lint: setup
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	djlint --lint --quiet templates
	PYTHONWARNINGS=ignore::RuntimeWarning $(PY) manage.py makemigrations --check --dry-run
	TOLLGATE_PUBLIC_URL=https://tollgate.example $(PY) manage.py check --deploy --fail-level WARNING

.venv/ready: requirements-dev.lock requirements-uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "Tollgate needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1 || true). Install it, or name one: make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "$(PYTHON) cannot make environments; on Debian and Ubuntu: apt-get install python3-venv." >&2; exit 1; }
	@echo "Setting up the Python environment ..."
	@$(PY) -c '' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@# uv does not read pip's configuration: a mirror named there is handed on. Whatever keeps uv from it, pip is slower but may get through.
	@mirror=$$($(PY) -m pip config get global.index-url 2>/dev/null); [ -z "$$mirror" ] || export UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$$mirror}"; \
	  uv pip sync --quiet --compile-bytecode --python $(PY) --require-hashes requirements-uv.lock requirements-dev.lock || \
	  { echo "uv could not; trying pip, which takes about a minute ..."; \
	    $(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock; }
	@touch $@

node_modules/ready: package-lock.json | .venv/ready
	@echo "Fetching the front-end files ..."
	@npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
	@touch $@

# No addresses in a lock file: whoever installs uses the registry that their own machine names.
UV_COMPILE := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header
lock: setup
	$(UV_COMPILE) --upgrade pyproject.toml -o requirements.lock
	$(UV_COMPILE) --upgrade --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo uv | $(UV_COMPILE) --upgrade - -o requirements-uv.lock
	npm update --package-lock-only --omit-lockfile-registry-resolved
