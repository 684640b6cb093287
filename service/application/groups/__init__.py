"""The use cases around a submitted ticket: accept, look, cancel, retry, review; and what a worker does with it."""
