# Everything a contributor runs; CI runs the same. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SUPPLY := build/supply/.installed
COMPILE := build/supply/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-config --constraint .ci/constraints.txt --custom-compile-command 'make lock'
# What `make sbom` takes for torch; where PyPI's build is meant: --require-hashes -r deploy/locks/torch-cuda.txt
TORCH ?= -c .ci/constraints.txt torch

.PHONY: help install demo test check format serve bench bench-gpu planted torture torture-drains torture-kills \
	torture-engine torture-review torture-screening test-gpu protos wheel lock sbom clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

install: $(INSTALLED) ## Make .venv with everything in it

$(INSTALLED): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c .ci/constraints.txt -e '.[serve,telemetry,ray,dev]'
	@touch $@

demo: install ## Start the service and watch it work: before, after, a log, the review queue
	$(BIN)/python docs/examples/demo.py

test: install ## Run the tests
	$(BIN)/python -m pytest

check: install ## Formatting, lints, types, import borders, fresh stubs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python protos/generate.py --check

format: install ## Format and fix what can be fixed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

serve: install ## Serve guard-tiny on 127.0.0.1:50051
	$(BIN)/guard serve

protos: install ## Generate guard_service/v1 from protos/
	$(BIN)/python protos/generate.py

wheel: install ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

$(SUPPLY): .ci/supply.txt
	$(PYTHON) -m venv build/supply
	build/supply/bin/pip install --quiet --disable-pip-version-check -r .ci/supply.txt
	@touch $@

lock: $(SUPPLY) ## Resolve what is deployed into deploy/locks, with the hash of every file
	$(COMPILE) pyproject.toml --extra serve --extra telemetry --excludes .ci/not-locked.txt -o deploy/locks/serve.txt
	$(COMPILE) .ci/not-locked.txt -o deploy/locks/torch-cuda.txt

sbom: $(SUPPLY) ## Install from the locks into build/served, and write dist/sbom.cdx.json of it
	$(PYTHON) -m venv --clear build/served
	build/served/bin/pip install --quiet --disable-pip-version-check $(TORCH)
	build/served/bin/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r deploy/locks/serve.txt
	build/served/bin/pip install --quiet --disable-pip-version-check --no-deps .
	build/served/bin/pip check --disable-pip-version-check
	build/served/bin/pip uninstall --quiet --yes pip
	mkdir -p dist
	build/supply/bin/cyclonedx-py environment --pyproject pyproject.toml -o dist/sbom.cdx.json build/served/bin/python

bench: install ## Measure guard-tiny here, in turn with what a user would pick instead
	PYTHONPATH=tests $(BIN)/python -m benchmarks.peers --rows models/guard-tiny/contrast_test.jsonl

bench-gpu: install ## Everything that needs a CUDA machine, in one run, into build/bench-gpu
	PYTHONPATH=tests $(BIN)/python -m benchmarks.gpu

torture: install ## The service's fault suite at length: 45 minutes on two cores
	$(MAKE) -j4 --output-sync=target torture-drains torture-kills torture-engine planted

torture-drains torture-kills: torture-%s:
	GUARD_TEST_FULL=1 $(BIN)/python -m pytest -s tests/faults/test_replicas.py -k $*

torture-engine:
	GUARD_TEST_FULL=1 $(BIN)/python -m pytest -s tests/faults/test_engine.py \
		tests/faults/test_hostile_messages.py tests/faults/test_hostile_texts.py \
		tests/encoding/test_tokenizer.py tests/batching/test_batcher.py

torture-review: install ## The review queue's: kills, power cuts, brokers, claimers; hours
	GUARD_TEST_FULL=1 $(BIN)/python -m pytest -s tests/faults/test_review_writer.py tests/faults/test_feed.py \
		tests/faults/test_brokers.py tests/faults/test_postgresql.py tests/faults/test_power_cut.py \
		tests/review/test_queue_machine.py tests/review/test_claimers.py tests/review/test_verification.py

torture-screening: install ## The same for `guard screen`: local, against a server, on Ray; hours
	GUARD_TEST_FULL=1 $(BIN)/python -m pytest -s tests/screening/test_run.py tests/screening/test_cluster.py \
		tests/screening/test_referral.py tests/faults/test_screening_server.py

planted: install ## Plant defects in a copy, one by one: a named test must catch each
	$(BIN)/python tests/faults/planted.py

test-gpu: install ## The tests that need a CUDA device
	$(BIN)/python -m pytest -m gpu tests/gpu

clean: ## Remove what was built, the virtual environment too
	rm -rf .venv dist build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
