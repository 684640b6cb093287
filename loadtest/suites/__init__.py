"""The benchmarks, one file each with its command."""
