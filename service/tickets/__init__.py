"""Submitted tickets: record, store, queue, worker, review and webhook."""
