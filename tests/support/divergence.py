"""The divergence of GKD in numpy, as the paper writes it."""

from __future__ import annotations

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def kl(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """KL(p || q) = sum p log(p / q)."""
    return (p * (np.log(p) - np.log(q))).sum(-1)


def reference(student: np.ndarray, teacher: np.ndarray, beta: float, temperature: float) -> np.ndarray:
    """GKD, arXiv:2306.13649: D_JSD(beta)(P || Q) = beta KL(P || M) + (1 - beta) KL(Q || M), M = beta P + (1 - beta) Q.

    P is the teacher, Q the student; forward KL(P || Q) at 0 and reverse KL(Q || P) at 1, the limits divided by beta
    and 1 - beta.
    """
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    if beta in (0, 1):
        return kl(p, q) if beta == 0 else kl(q, p)
    m = beta * p + (1 - beta) * q
    return beta * kl(p, m) + (1 - beta) * kl(q, m)
