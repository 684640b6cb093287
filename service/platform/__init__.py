"""What every capability builds on: settings, logs, errors, metrics, Redis, files, admission."""
