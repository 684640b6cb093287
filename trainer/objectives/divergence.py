"""The generalised Jensen-Shannon divergence between two models' next-token distributions.

Axes: S positions, V vocabulary (or any other set of outcomes).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, slots=True, kw_only=True)
class JensenShannon:
    """JSD_beta at a temperature.

    ``beta`` chooses the divergence, not its strength: 0 is KL(teacher || student), 1 is KL(student || teacher); between
    them the value is smaller and peaks near 0.5. ``temperature`` divides both models' logits; there is no factor T².
    """

    beta: float
    temperature: float = 1.0

    def log_probs(self, logits_SV: torch.Tensor) -> torch.Tensor:
        """log softmax(logits / temperature), float32 (float64 stays)."""
        logits_SV = logits_SV if logits_SV.dtype is torch.float64 else logits_SV.float()
        return (logits_SV / self.temperature).log_softmax(-1)

    def with_gradient(self, student_SV: torch.Tensor, teacher_SV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """``of_logits`` without a graph, and its gradient_SV in the student's logits."""
        log_s_SV, log_t_SV = self.log_probs(student_SV), self.log_probs(teacher_SV)
        value_S, slope_SV = jensen_shannon_with_slope(log_s_SV, log_t_SV, beta=self.beta)
        return value_S, slope_SV.div_(self.temperature)

    def of_logits(self, student_SV: torch.Tensor, teacher_SV: torch.Tensor) -> torch.Tensor:
        """Nats per position, float32_S, from the two models' logits; exactly 0 where they are equal."""
        return jensen_shannon(self.log_probs(student_SV), self.log_probs(teacher_SV), beta=self.beta)


def jensen_shannon(log_s_SV: torch.Tensor, log_t_SV: torch.Tensor, *, beta: float) -> torch.Tensor:
    """beta · KL(T || M) + (1 - beta) · KL(S || M) with M = (1 - beta) · S + beta · T, nats per position.

    ``log_s`` and ``log_t`` are finite log-probabilities of student and teacher. The ends are the limits of the divergence
    divided by beta or 1 - beta, as in GKD (Agarwal et al. 2024, arXiv:2306.13649, eq. 2 and section 3): beta = 0 is
    KL(T || S), beta = 1 is KL(S || T).

    M is never computed: with d = log T - log S and e = expm1(-|d|), log(M/S) and log(M/T) are log1p of a share of e, plus
    |d| for one of the two. So nothing overflows, and equal distributions give exactly 0.
    """
    d = log_t_SV - log_s_SV
    if beta == 0:
        return (log_t_SV.exp() * d).sum(-1)
    if beta == 1:
        return -(log_s_SV.exp() * d).sum(-1)
    log_m_over_s, log_m_over_t = _mixture(d, beta)
    return -(beta * log_t_SV.exp() * log_m_over_t + (1 - beta) * log_s_SV.exp() * log_m_over_s).sum(-1)


def jensen_shannon_with_slope(
    log_s_SV: torch.Tensor, log_t_SV: torch.Tensor, *, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """``jensen_shannon`` and its slope_SV in the logits of which ``log_s`` is the log-softmax, without a graph.

    With g = d value / d S the slope is S · (g - sum(S · g)), and g = (1 - beta) · log(S/M) up to a constant, for
    beta = 1 log(S/T); for beta = 0 the slope is S - T.
    """
    d, s_SV = log_t_SV - log_s_SV, log_s_SV.exp()
    if beta == 0:
        t_SV = log_t_SV.exp()
        return (t_SV * d).sum(-1), s_SV.sub_(t_SV)
    if beta == 1:
        pull_SV = d.mul_(s_SV)
        return -pull_SV.sum(-1), (s_SV * pull_SV.sum(-1, keepdim=True)).sub_(pull_SV)
    log_m_over_s, log_m_over_t = _mixture(d, beta)
    pull_SV = log_m_over_s.mul_(s_SV)
    pulls_S1 = pull_SV.sum(-1, keepdim=True)
    value_S = -(beta * log_m_over_t.mul_(log_t_SV.exp()).sum(-1) + (1 - beta) * pulls_S1[:, 0])
    return value_S, s_SV.mul_(pulls_S1).sub_(pull_SV).mul_(1 - beta)


def _mixture(d: torch.Tensor, beta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(log(M/S), log(M/T)) from d = log(T/S)."""
    share = (d > 0).to(d.dtype).mul_(1 - 2 * beta).add_(beta)
    least = share.mul_(torch.expm1(-d.abs())).log1p_()
    return least + d.relu(), least + (-d).relu()
