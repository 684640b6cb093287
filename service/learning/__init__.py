"""The training-free loop over labelled tickets: epochs, reflection, artifacts and report."""
