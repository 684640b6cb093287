"""The service against vLLM on one GPU; ``run.sh`` says how."""
