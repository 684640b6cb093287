"""Stage-B's use cases: judging one ticket, and the training-free loop over labelled ones."""
