PYTHON ?= python3
BIN := .venv/bin
WORKERS ?= 2
export HF_HUB_OFFLINE := 1
unexport PYTHONDONTWRITEBYTECODE  # tests start hundreds of processes, each of which would compile the product again
last = $$(ls -dv $(1)/checkpoint-* | tail -n 1)

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## Create .venv with everything that the targets need (does nothing when it is up to date)
	@$(PYTHON) tools/setup_venv.py

demo: setup  ## Start the product on the CPU, caption the sample photos, judge a ticket
	@$(BIN)/python -m deploy.demo

test: setup test-servers  ## Run the whole suite (WORKERS=2 processes)
	@$(BIN)/python -m pytest -n $(WORKERS)

test-fast: setup  ## Run unit and contract tests, without those that run torch
	@$(BIN)/python -m pytest -n $(WORKERS) tests/unit tests/contract -m "not torch and not engine"

test-servers:  ## Install the Debian packages of the servers that tests start (as root)
	@sh tools/test_servers.sh

check: setup  ## Lint, types and import rules, in seconds
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: setup  ## Measure the gateway on the scripted engine
	@$(BIN)/vqc-bench gateway

lock: setup  ## Write the versions of .venv to constraints.txt
	@$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' | grep -v '^vqc' > constraints.txt

docs: setup  ## Regenerate OpenAPI, schemas, training keys, metrics, settings and dashboards
	@$(BIN)/python -m deploy.pages openapi > docs/openapi.json
	@$(BIN)/python -m trainer.config.page > docs/training-keys.md
	@$(BIN)/python -m deploy.pages metrics > docs/metrics.md
	@$(BIN)/python -m deploy.pages settings > docs/settings.md
	@$(BIN)/python -m deploy.pages schemas
	@$(BIN)/python -m deploy.grafana.generate

test-compose: setup  ## Start docker-compose.yml twice in its own Docker daemon (as root, 20 GB of disk; not in the suite)
	@$(BIN)/python -m tools.compose_test

swift-parity:  ## Compare tokens, pixels, labels and first loss with ms-swift (.venv-swift, 2 GB; not in the suite)
	@$(PYTHON) tools/setup_venv.py --venv .venv-swift --constraints constraints-swift.txt train swift
	@.venv-swift/bin/python -m tools.swift_parity

demo-model: setup  ## Train the demo model from scratch on drawn scenes (two GPUs for 15 minutes, then 20 CPU minutes)
	@test -d build/demo-base || $(BIN)/vqc-train tiny build/demo-base --size demo --seed 17
	@$(BIN)/torchrun --nproc_per_node gpu -m trainer.cli run configs/demo.yaml
	@$(BIN)/vqc-train export $(call last,output/demo) build/demo-sees
	@$(BIN)/vqc-train run configs/demo_shift.yaml
	@$(BIN)/vqc-train export $(call last,output/demo_shift) build/demo-shifted
	@$(BIN)/vqc-train run configs/demo_verdict.yaml
	@$(BIN)/vqc-train export $(call last,output/demo_verdict) build/demo-model

demo-curriculum: setup  ## Train the next demo model from scratch in one curriculum (one H200 and 16 cores for 28 minutes)
	@test -d build/demo-base || $(BIN)/vqc-train tiny build/demo-base --size demo --seed 17
	@$(BIN)/vqc-train run configs/demo_curriculum.yaml
	@$(BIN)/vqc-train export $(call last,output/demo_curriculum) build/demo-learns
	@mkdir -p output/demo_curriculum_settle && ln -sfn ../demo_curriculum/scenes output/demo_curriculum_settle/scenes
	@$(BIN)/vqc-train run configs/demo_curriculum_settle.yaml
	@$(BIN)/vqc-train export $(call last,output/demo_curriculum_settle) build/demo-curriculum

.PHONY: help setup demo test test-fast test-servers check bench lock docs test-compose swift-parity demo-model demo-curriculum
