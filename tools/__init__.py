"""Tools for developers: benchmarks on GPU hosts, comparisons with other trainers, the compose test, set-up."""
