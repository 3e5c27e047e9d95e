# Every target first makes the environment in .venv, if it is missing or older than the lock file.
# Choose the Python with `make PYTHON=/path/to/python3.13 run`, the parameters of a run with PARAMETERS=….
SHELL := /bin/bash
# As requires-python in pyproject.toml; tests/test_environment.py holds the two together.
VERSIONS := 3.13 3.12 3.11
# It has to say its version: `true` and the like do whatever they are asked, and are no Python.
is_supported = case " $(VERSIONS) " in *" $$("$(1)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) "*);; *) false;; esac
PYTHON ?= $(shell for p in python3 $(addprefix python,$(VERSIONS)); do $(call is_supported,$$p) && echo $$p && break; done)
PARAMETERS ?= notebooks/parameters/quick.yaml
BIN := .venv/bin
READY := .venv/.ready
# Each has a pyproject.toml, with the settings of the tools, and tests.
PROJECTS := local_sagemaker .
PYTEST := $(CURDIR)/$(BIN)/python -m pytest

.PHONY: run test quick test-aws lab lint clean lock python

run: $(READY)
	$(BIN)/python -m series run --parameters $(PARAMETERS)

# First what measures time or memory, alone on the machine; then the rest, two files at a time. More would not be quicker
# on two cores, and needs more memory: the tests start servers, containers and jobs of their own.
test: lint
	@status=0; for project in $(PROJECTS); do (cd $$project && \
	  $(PYTEST) -m alone $$(grep -rl --include='test_*.py' mark.alone tests)) || status=$$?; done; \
	for project in $(PROJECTS); do (cd $$project && \
	  $(PYTEST) -m "not alone" --numprocesses 2 --dist loadfile --no-loadscope-reorder) || status=$$?; done; exit $$status

# Before a commit: all but the tests marked slow or alone, in three minutes on two idle cores.
quick: lint
	@status=0; for project in $(PROJECTS); do (cd $$project && \
	  $(PYTEST) -q -m "not slow and not alone" --numprocesses 2 --dist loadfile --durations 5) || status=$$?; done; exit $$status

# The tests marked aws once more, on Amazon SageMaker, in the account of your credentials. They bill about $0.10.
test-aws: $(READY)
	$(BIN)/python -m pytest --target aws

lab: $(READY)
	$(BIN)/jupyter lab notebooks

lint: $(READY)
	$(BIN)/ruff check && $(BIN)/ruff format --check
	@for project in $(PROJECTS); do (cd $$project && $(CURDIR)/$(BIN)/mypy) || exit; done

# Removes the environment, the runs and the caches of the tools; data and the state of local_sagemaker stay.
clean:
	rm -rf .venv runs
	for project in $(PROJECTS); do (cd $$project && rm -rf build runs src/*.egg-info *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis); done
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Needs uv (pip install uv); keeps the pins that still fit. Delete requirements.lock first to renew all of them.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --extra test --generate-hashes --no-emit-index-url \
	  --no-emit-package local-sagemaker --custom-compile-command "make lock" --output-file requirements.lock pyproject.toml

# Names the Python that the environment is made with, or says how to get one.
python:
	@$(call is_supported,$(PYTHON)) || { echo '"$(or $(PYTHON),python3)" is not one of the Pythons that this project runs on: $(VERSIONS). Install one, for example with uv, and name it: uv python install $(firstword $(VERSIONS)) && make PYTHON="$$(uv python find $(firstword $(VERSIONS)))" run' >&2; exit 1; }
	@echo "$(PYTHON)"

$(READY): requirements.lock notebooks/jupyter_server.json
	@$(MAKE) --no-print-directory python >/dev/null
	@echo "Installing up to $$(grep -c '^[a-z].*==' requirements.lock) packages of requirements.lock (3.6 GB) into .venv. The first time takes a minute or two."
	@[ "$$($(BIN)/python -V 2>&1)" = "$$("$(PYTHON)" -V)" ] || rm -rf .venv  # venv would leave another Python in there as it is
	"$(PYTHON)" -m venv .venv
	@# uv first, of the pinned version: it downloads and unpacks many packages at a time, pip one after the other.
	@awk '/^[^ ]/ { wanted = /^uv==/ } wanted' requirements.lock > .venv/uv.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement .venv/uv.txt
	@$(BIN)/uv pip install --python $(BIN)/python --require-hashes --requirement requirements.lock || { \
	  echo "uv failed, as it does where only pip knows the way to the packages (pip.conf). Installing with pip, which takes longer." >&2; \
	  $(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement requirements.lock; }
	@# setuptools warns of folders that have the name of a package; the tests run with those that are here.
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable ./local_sagemaker --editable .
	@cp notebooks/jupyter_server.json .venv/etc/jupyter/jupyter_server_config.d/multi_model_endpoint.json
	@touch $@
