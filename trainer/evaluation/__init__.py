"""Scores a model, or the running service, on labelled photos and tickets."""

from trainer.evaluation.evaluate import Evaluation, evaluate_model

__all__ = ["Evaluation", "evaluate_model"]
