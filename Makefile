# Every target first makes the environment in .venv, if it is missing or older than the lock file.
# Choose the Python with `make PYTHON=/path/to/python3.12 run`, the parameters of a run with PARAMETERS=….
SHELL := /bin/bash
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3 python3.12 python3.11; do $$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
PARAMETERS ?= notebooks/parameters/quick.yaml
BIN := .venv/bin
READY := .venv/.ready

.PHONY: run test test-aws lab lint clean lock

run: $(READY)
	$(BIN)/python -m helpers.series run --parameters $(PARAMETERS)

# First what measures time or memory, alone on the machine; then the rest, two files at a time. More would not be quicker
# on two cores, and needs more memory: the tests start servers, containers and jobs of their own.
test: lint
	@status=0; $(BIN)/python -m pytest -m alone $$(grep -rl --include='test_*.py' mark.alone tests) || status=$$?; \
	  $(BIN)/python -m pytest -m "not alone" --numprocesses 2 --no-loadscope-reorder || status=$$?; exit $$status

# The tests marked aws once more, on Amazon SageMaker, in the account of your credentials. They bill about $0.10.
test-aws: $(READY)
	$(BIN)/python -m pytest --target aws

lab: $(READY)
	$(BIN)/jupyter lab notebooks

lint: $(READY)
	$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy

# Removes the environment, the runs and the caches of the tools; data and the state of local_sagemaker stay.
clean:
	rm -rf .venv runs build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Needs uv (pip install uv); keeps the pins that still fit. Delete requirements.lock first to renew all of them.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes --no-emit-index-url \
	  --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

$(READY): requirements.lock notebooks/jupyter_server.json
	@"$(PYTHON)" -c '$(SUPPORTED)' 2>/dev/null || { echo 'Python 3.11 or 3.12 is needed and was not found as "$(or $(PYTHON),python3)". Install one, or name it: make PYTHON=/path/to/python3.12' >&2; exit 1; }
	@echo "Installing up to $$(grep -c '^[a-z].*==' requirements.lock) packages of requirements.lock into .venv. The first time takes some minutes, the last of them without a word, while pip unpacks 3.6 GB."
	"$(PYTHON)" -m venv .venv
	@set -o pipefail; $(BIN)/python -m pip install --disable-pip-version-check --require-hashes --requirement requirements.lock \
	  | awk '/^(Collecting|Processing)/ { sub(/.*\//, "", $$2); printf "\r\033[K%4d %s", ++n, $$2; fflush() } /^Installing/ { printf "\r\033[K     unpacking"; fflush() } END { print "" }'
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@cp notebooks/jupyter_server.json .venv/etc/jupyter/jupyter_server_config.d/multi_model_endpoint.json
	@touch $@
