"""The run: arguments, batches, optimizer, schedule, checks before, loop, checkpoints and logs."""
