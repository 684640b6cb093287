"""Augmentation of photos and their labels: all random choices first, then pure steps that move both by the same map."""

from trainer.augmentation.pipeline import Pipeline
from trainer.augmentation.plan import AugmentationPlan, Telemetry

__all__ = ["AugmentationPlan", "Pipeline", "Telemetry"]
