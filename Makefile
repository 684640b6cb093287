PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Make .venv with everything below needs (once; seconds when nothing changed)
	@$(PYTHON) tools/setup_venv.py

demo: setup  ## Caption the sample photos with a real vLLM on the CPU; prints results and where they are
	@$(BIN)/python -m deploy.demo

test: setup test-servers  ## Run the whole suite
	@$(BIN)/python -m pytest

test-servers:  ## Install the Debian packages whose servers the tests start (as root)
	@sh tools/test_servers.sh

check: setup  ## Lint, types, import rules: what is fast
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: setup  ## Measure the gateway on the scripted engine
	@$(BIN)/vqc-bench gateway

lock: setup  ## Write down the versions that .venv has
	@$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' | grep -v '^vqc' > constraints.txt

docs: setup  ## Rewrite what is generated: OpenAPI, training keys, metrics, settings, dashboards
	@$(BIN)/python -m deploy.pages openapi > docs/openapi.json
	@$(BIN)/python -m trainer.config.page > docs/training-keys.md
	@$(BIN)/python -m deploy.pages metrics > docs/metrics.md
	@$(BIN)/python -m deploy.pages settings > docs/settings.md
	@$(BIN)/python -m deploy.grafana.generate

test-compose: setup  ## Bring docker-compose.yml up for real, twice (as root; its own Docker daemon, 20 GB of disk; not in the suite)
	@$(BIN)/python -m tools.compose_test

swift-parity:  ## Compare tokens, pixels, labels and first loss with ms-swift (.venv-swift, 2 GB; not in the suite)
	@$(PYTHON) tools/setup_venv.py --venv .venv-swift --constraints constraints-swift.txt train swift
	@.venv-swift/bin/python -m tools.swift_parity

demo-model: setup  ## Train the demo model from nothing on drawn scenes (two GPUs for a quarter of an hour, then 20 CPU minutes)
	@test -d build/demo-base || $(BIN)/vqc-train tiny build/demo-base --size demo --seed 17
	@$(BIN)/torchrun --nproc_per_node gpu -m trainer.cli run configs/demo.yaml
	@$(BIN)/vqc-train export output/demo/checkpoint-3387 build/demo-sees
	@$(BIN)/vqc-train run configs/demo_shift.yaml
	@$(BIN)/vqc-train export output/demo_shift/checkpoint-150 build/demo-shifted
	@$(BIN)/vqc-train run configs/demo_verdict.yaml
	@$(BIN)/vqc-train export output/demo_verdict/checkpoint-150 build/demo-model

.PHONY: help setup demo test test-servers check bench lock docs test-compose swift-parity demo-model
