"""The load generator: jobs, arrivals, workers, outcomes."""
