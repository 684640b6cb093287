"""The training run: arguments, batches, optimizer, schedule, checks before the start, loop, checkpoints and logs."""
