"""Training: configuration, data, augmentation, model, objectives, the run, evaluation and export (``vqc-train``)."""
