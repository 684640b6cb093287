"""Augmentation of photos and their labels: operations drawn first, applied purely, moved by one and the same map."""

from trainer.augmentation.pipeline import Pipeline
from trainer.augmentation.plan import AugmentationPlan, Telemetry

__all__ = ["AugmentationPlan", "Pipeline", "Telemetry"]
