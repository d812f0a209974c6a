# Needs Python 3.11+, git and make; installs everything else into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# `auto` is decided in tests/conftest.py.
WORKERS ?= auto

# Every started process would compile all modules again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo install test test-all check faults fuzz api-fuzz truth stalls losses screens alerts-replay retention bench lock clean

install: $(VENV)/.runtime

demo: $(VENV)/.runtime
	@$(BIN)/python -m bot demo $(ARGS)

# Of the tests that cost most it runs some, others each time; `test-all` runs every one.  What is
# compiled in a new clone is compiled once, not by each of the processes at the same time.
test: SAMPLE := --sample
test test-all: $(VENV)/.tests
	@sh tests/browser/install-chromium.sh
	@sh tests/install-bubblewrap.sh
	@sh tests/install-promtool.sh
	@$(BIN)/python -m compileall -q -j 0 bot core migrations
	@[ -d .pytest_cache ] || $(BIN)/python -m pytest -qq --collect-only >/dev/null || true
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --fit-machine $(SAMPLE) $(ARGS)

check: $(VENV)/.tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports
	$(BIN)/python -m migrations.check

# A second call continues where the first one stopped; `ARGS="--seed 2"` is another campaign.
faults: $(VENV)/.tests
	$(BIN)/python -m tests.faults $(ARGS)

# Mutated deliveries of Slack; `ARGS="--seed 2 --count 1000"` is another campaign.
fuzz: $(VENV)/.tests
	$(BIN)/python -m tests.fuzz $(ARGS)

# Requests that schemathesis makes of the OpenAPI document; `ARGS="--seed 2 --count 1000"`.
api-fuzz: $(VENV)/.tests
	$(BIN)/python -m tests.api_fuzz $(ARGS)

# Generated runs, each shown figure compared with the script's own; `ARGS="--seed 2 --runs 50"`.
truth: $(VENV)/.tests
	$(BIN)/python -m tests.truth $(ARGS)

# Simulated weeks of runs, whose alerts are compared with a slow reference; `ARGS="--seeds 2 3"`.
alerts-replay: $(VENV)/.tests
	$(BIN)/python -m tests.alerts.replay $(ARGS)

# A synthetic year, retention over it, and who waits meanwhile; `ARGS="--sessions 3000"`.
retention: $(VENV)/.tests
	$(BIN)/python -m tests.retention $(ARGS)

# Every page of the dashboard on phone and desktop, each light and dark; `make test` draws one.
screens: $(VENV)/.tests
	@sh tests/browser/install-chromium.sh
	$(BIN)/python -m pytest -n $(WORKERS) tests/browser/dashboard $(ARGS)

# Silent runs, of which exactly the hung ones must be told; `ARGS="--healthy 20 --hung 7"`.
stalls: $(VENV)/.tests
	$(BIN)/python -m tests.stalls $(ARGS)

# Runs that lose agent, worker, workspace or home; `ARGS="--seeds 8"`, `ARGS="--only 3"`.
losses: $(VENV)/.tests
	$(BIN)/python -m tests.losses $(ARGS)

bench: $(VENV)/.tests
	$(BIN)/python -m benchmarks $(ARGS)

# The lock files name no registry.  Only this target needs uv.
lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
		--extra build pyproject.toml -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q \
		--extra build --extra dev pyproject.toml -c requirements.lock -o tests/requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Signalbox needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Its lock file contains all of the other one.
$(VENV)/.tests: tests/requirements.lock requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r tests/requirements.lock
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runtime $@
