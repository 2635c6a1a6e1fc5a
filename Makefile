# Gentrifugo: `make` alone lists the targets. GNU make.

PYTHON ?= python3
# Another Python can have an environment of its own: make test PYTHON=python3.13 VENV=.venv/3.13
VENV ?= .venv
BIN := $(VENV)/bin
# Twice quiet: errors alone.
PIP := $(BIN)/pip --quiet --quiet --disable-pip-version-check
# Nothing is installed whose hash is not in the file.
PIP_LOCKED := $(PIP) install --require-hashes --requirement
# Test files that run side by side; most of their time they wait, so one more than small machines have cores.
JOBS ?= 3
# Programs that tests run.
TEST_PROGRAMS := zsh chromium nginx redis-server curl openssl haproxy logrotate systemd-analyze rpmbuild pebble prometheus \
	strace
# Two versions of one distribution, so each lives in a directory of its own.
CENT := 1.3.0 2.1.0

# The sources of the C module for sending.
C_MODULE := $(wildcard app/net/*.c app/net/*.h)

export PYTHON
# Tests start hundreds of servers, and each would compile the package anew, which is a fifth of the CPU of its start.
unexport PYTHONDONTWRITEBYTECODE
.DELETE_ON_ERROR:
.PHONY: help c-compiler install install-dev lock run sockjs-testserver test test-package test-lowest coverage lint format docs packages screenshots bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

install: $(VENV)/.installed admin/web/vendor ## install Gentrifugo with its dependencies into .venv, and the libraries of the web interface

install-dev: $(VENV)/.installed-dev node_modules/.package-lock.json admin/web/vendor $(CENT:%=$(VENV)/clients/cent-%) ## install the dependencies of tests and linters too

lock: $(VENV)/lock/.installed ## update requirements*.txt: the pinned versions, their dependencies and the hashes of all files
	@scripts/lock.sh $(VENV)/lock/bin/uv

run: install config.json ## start a server with its web interface on port 8000 (writes config.json first if there is none)
	@echo "Starting Gentrifugo with config.json, Ctrl-C stops it. The password of its web interface is admin_password there."
	@exec $(BIN)/gentrifugo --config=config.json --port=8000 --web

sockjs-testserver: install ## start the server for the published SockJS test suite on port 8081
	@exec $(BIN)/python -m tests.sockjs_testserver --port 8081

test: c-compiler install-dev ## run all tests; ARGS='-k name' selects some, JOBS=0 runs them in one process
	@scripts/system_packages.sh $(TEST_PROGRAMS)
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder $(ARGS)

test-package: c-compiler install-dev ## run only the tests of the package, without those with real servers, browsers and clients
	@scripts/system_packages.sh zsh redis-server openssl
	$(BIN)/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder tests/app tests/engines tests/admin tests/client $(ARGS)

test-lowest: c-compiler $(VENV)/lowest/.installed ## run the tests of the package with the lowest versions that pyproject.toml allows
	@scripts/system_packages.sh zsh redis-server openssl
	$(VENV)/lowest/bin/pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder tests/app tests/engines tests/admin tests/client $(ARGS)

coverage: c-compiler install-dev ## run all tests, and fail if lines of the package are not covered
	@scripts/system_packages.sh $(TEST_PROGRAMS)
	@rm -rf build/coverage && mkdir -p build/coverage
	GENTRIFUGO_TEST_SLOWNESS=3 $(BIN)/coverage run -m pytest --numprocesses=$(JOBS) --dist=loadfile --no-loadscope-reorder --timeout=300 $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report
	$(BIN)/python scripts/unreached_lines.py

lint: install-dev ## check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: install-dev ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: install $(VENV)/docs/.installed ## generate docs/configuration.md and docs/api-v4.md from the code, and build the documentation site
	$(BIN)/python docs/generate_configuration.py
	$(BIN)/python docs/generate_api.py
	@scripts/system_packages.sh node
	@NO_MKDOCS_2_WARNING=1 scripts/site.sh $(VENV)/docs/bin/mkdocs

packages: admin/web/vendor ## build a .deb and an .rpm into dist/
	@scripts/system_packages.sh rpmbuild dpkg-deb
	@scripts/packages.sh

screenshots: install-dev ## update the screenshots of the web interface in docs/screenshots
	@scripts/system_packages.sh chromium
	$(BIN)/python -m tests.screenshots

bench: $(VENV)/.installed-bench ## run the benchmarks, and update docs/benchmarks.md with the results
	$(BIN)/python -m benchmarks.page

clean: ## remove all files that make has created, except config.json
	rm -rf $(VENV) node_modules admin/node_modules admin/web/vendor build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	rm -f app/net/*.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The installation compiles the C module for sending if it can; tests need it.
c-compiler:
	@scripts/system_packages.sh $@

config.json: | install
	@echo "Writing config.json with a new secret"
	@$(BIN)/gentrifugo genconfig --config=$@ >/dev/null

$(BIN)/python:
	@scripts/system_packages.sh python
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# What builds the package is in requirements.txt too: without isolation, pip downloads nothing else for that. Metadata
# that an earlier build has left in the tree would hide the entry points of what is installed here.
$(VENV)/.installed: requirements.txt setup.py pyproject.toml $(C_MODULE) | $(BIN)/python
	@echo "Installing requirements.txt and Gentrifugo into $(VENV)"
	@$(PIP_LOCKED) requirements.txt
	@rm -rf gentrifugo.egg-info
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@$(PIP) check
	@touch $@

# Only uv, in an environment of its own: a file that has a pin without hashes cannot be installed before it is locked.
# The hashes of uv are checked, unless its own version is what is being changed.
$(VENV)/lock/.installed: requirements-dev.txt | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/lock
	@sed -n '/^uv==/,/[^\\]$$/p' requirements-dev.txt >$(VENV)/lock/requirements.txt
	@$(VENV)/lock/bin/pip --quiet --quiet --disable-pip-version-check install --requirement $(VENV)/lock/requirements.txt
	@touch $@

# A developer can do without these; a wheel is not built without them (setup.py).
admin/web/vendor: admin/package.json admin/package-lock.json scripts/web_libraries.sh
	@scripts/web_libraries.sh || echo "The web interface has no plots and no JSON editor until make install can install them" >&2
	@if [ -d $@ ]; then touch $@; fi

# mypy does not follow an editable install whose package is the repository root; it follows this link.
$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	@echo "Installing requirements-dev.txt into $(VENV)"
	@$(PIP_LOCKED) requirements-dev.txt
	@mkdir -p $(VENV)/typing && ln -sfn ../.. $(VENV)/typing/gentrifugo
	@touch $@

$(VENV)/lowest/.installed: pyproject.toml $(C_MODULE) requirements-dev.txt scripts/lowest_versions.py | $(BIN)/python
	@echo "Installing the lowest versions of pyproject.toml into $(VENV)/lowest"
	@$(BIN)/python -m venv --clear $(VENV)/lowest
	@$(BIN)/python scripts/lowest_versions.py >$(VENV)/lowest/requirements.txt
	@$(VENV)/lowest/bin/pip --quiet --quiet --disable-pip-version-check install --requirement $(VENV)/lowest/requirements.txt --editable .
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed
	@echo "Installing requirements-bench.txt into $(VENV)"
	@$(PIP_LOCKED) requirements-bench.txt
	@touch $@

# An environment of its own: what builds the site wants other versions of what the server uses.
$(VENV)/docs/.installed: requirements-docs.txt | $(BIN)/python
	@echo "Installing requirements-docs.txt into $(VENV)/docs"
	@$(BIN)/python -m venv $(VENV)/docs
	@$(VENV)/docs/bin/pip --quiet --quiet --disable-pip-version-check install --require-hashes --requirement requirements-docs.txt
	@touch $@

$(VENV)/clients/cent-%: | $(VENV)/.installed-dev
	@echo "Installing cent $* into $@"
	@rm -rf $@.part && $(PIP) install --no-deps --target $@.part cent==$* && mv $@.part $@

node_modules/.package-lock.json: package.json package-lock.json
	@scripts/system_packages.sh node
	@echo "Installing the JavaScript clients of package-lock.json into node_modules"
	@npm ci --loglevel=error
	@touch $@
