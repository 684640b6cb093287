"""The trainer's speed on GPUs: on one, beside ms-swift, and on two; ``run.sh`` says how."""
