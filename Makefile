PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup:  ## Make .venv with everything below needs (once; seconds when nothing changed)
	@$(PYTHON) tools/setup_venv.py

demo: setup  ## Caption the sample photos with a real vLLM on the CPU; prints results and where they are
	@$(BIN)/python -m deploy.demo

test: setup  ## Run the whole suite
	@$(BIN)/python -m pytest

check: setup  ## Lint, types, import rules: what is fast
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/pyright
	@$(BIN)/lint-imports

bench: setup  ## Measure the gateway on the scripted engine
	@$(BIN)/vqc-bench gateway

lock: setup  ## Write down the versions that .venv has
	@$(BIN)/pip freeze --exclude-editable | sed 's/+cpu//' | grep -v '^vqc' > constraints.txt

docs: setup  ## Rewrite the committed OpenAPI document and the page of training keys
	@$(BIN)/python -m service.api.openapi > docs/openapi.json
	@$(BIN)/python -m trainer.config.page > docs/training-keys.md

demo-model: setup  ## Train the demo model from nothing on drawn scenes (one GPU, about ten minutes)
	@test -d build/demo-base || $(BIN)/vqc-train tiny build/demo-base --size demo --seed 17
	@$(BIN)/vqc-train run configs/demo.yaml
	@$(BIN)/vqc-train export output/demo/checkpoint-2250 build/demo-model

.PHONY: help setup demo test check bench lock docs demo-model
