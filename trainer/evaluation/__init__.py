"""How good a model is on labelled photos and tickets, whether asked directly or through the running service."""

from trainer.evaluation.evaluate import Evaluation, evaluate_model

__all__ = ["Evaluation", "evaluate_model"]
