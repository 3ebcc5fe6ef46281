# Every target sets up what it needs; `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
BIN := .venv/bin
PARAMS ?= params/lab.yml

.PHONY: help setup run drills test test-plans crash-test test-faults test-hostile test-power-cut test-availability check lint walkthrough bench lab-up lab-status lab-down down lock sbom audit map

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

setup: .venv/.done ## the virtual environment, from the lock

# compiled once, here: each kernel and each test process is one that imports all of it
.venv/.done: requirements.lock pyproject.toml
	@test -x $(BIN)/python || python3 -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock | $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r /dev/stdin
	@$(BIN)/uv pip sync --quiet --compile-bytecode --python $(BIN)/python --require-hashes requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

run: lab-up ## the main job on the lab: notebooks 00 to 07 headless, to a report
	@$(BIN)/runbook run $(PARAMS)

# Several runs: one executes a notebook once. The scorecard is made from the records of them all, so
# the report of the last one has every drill, as the guide has it and with 30 and 32 on.
drills: lab-up ## break each part of the cluster of make run, then again with 30 and 32 on; 40 minutes
	@$(BIN)/runbook run $(PARAMS) --only 35 37
	@$(BIN)/runbook run $(PARAMS) --only 20 21 22 23 24
	@$(BIN)/runbook run $(PARAMS) --only 20 -p "how=cut off"
	@$(BIN)/runbook run $(PARAMS) --only 30 23 35
	@$(BIN)/runbook run $(PARAMS) --only 32 24 37

test: lint ## the gate, the map in a browser, and the whole runbook on the lab, each notebook twice
	@$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder tests/unit tests/notebooks tests/browser tests/lab -m "not faults and not availability and not plans and not power_cut and not crash"

test-plans: setup ## 35 changes of two stacks on the lab, each as its plan announced; 10 minutes
	@$(BIN)/pytest tests/lab -m plans

test-power-cut: setup ## the manager's power cut at 200 moments: no acknowledged tile is lost; 60 minutes
	@$(BIN)/pytest -s tests/lab -m power_cut

test-availability: setup ## managers, brokers and workers that fail on purpose, on two labs; two hours
	@$(BIN)/pytest -n 2 --dist loadscope --no-loadscope-reorder tests/lab -m availability

crash-test: setup ## kill runs at each effect of 01 to 07, 30 to 37 and 90, and run again; hours
	@$(BIN)/pytest tests/lab/test_crash.py -m crash

test-faults: setup ## the API fails on purpose, by three seeds of each kind; 2 minutes
	@$(BIN)/pytest -n 2 --dist worksteal -s tests/unit/cloud/test_under_faults.py -m faults

test-hostile: setup ## thousands of inputs that are made to break their reader
	@HYPOTHESIS_PROFILE=hostile $(BIN)/pytest -n 2 --dist worksteal tests/unit tests/lab/test_gate.py -m hostile

check: lint ## the gate: lint, types, unit tests, notebook rules
	@$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not docker_cli and not faults" tests/unit tests/notebooks

lint: setup ## the first part of the gate: style and types
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@$(BIN)/mypy

walkthrough: lab-up ## JupyterLab on prepared copies of the notebooks
	@$(BIN)/runbook walkthrough $(PARAMS)

bench: lab-up ## measure: ratios against references of the same run
	@$(BIN)/python -m tests.bench

lab-up: setup ## the rehearsal cloud
	@$(BIN)/python -m lab up --policy params/iam-policy.json \
	  --policy params/iam-policy-tiles-on-s3.json \
	  --account-policy runbook-tiles=params/iam-role-of-the-tiles.json \
	  --operator-tag runbook:cluster=geo-diff --operator-tag runbook:vpc=@default-vpc

lab-status: setup ## what the lab runs
	@$(BIN)/python -m lab status

lab-down: setup ## remove the lab, keep its caches
	@$(BIN)/python -m lab down

down: setup ## remove the cluster, its key and the lab
	@if $(BIN)/python -m lab status >/dev/null; then $(BIN)/runbook run $(PARAMS) --only 90; fi
	@$(BIN)/python -m lab down

sbom: setup ## what it is made of, as CycloneDX in sbom/: Python, the map's page, the images of the cluster
	@$(BIN)/python -m tools.supply sbom $(PARAMS)

audit: setup ## ask PyPI for advisories against every locked version
	@$(BIN)/python -m tools.supply audit

map: setup ## write the map of the notebooks into the README
	@$(BIN)/runbook map --write README.md

lock: setup ## update every dependency
	@$(BIN)/uv pip compile --quiet --all-extras --generate-hashes --no-emit-index-url \
	  --universal --python-version 3.11 --upgrade pyproject.toml -o requirements.lock
