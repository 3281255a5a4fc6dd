"""The loss of the eye network: a likelihood under the spread that it predicts, after a robust start.

A Laplace distribution is used because errors have heavy tails: closed eyes, reflections, landmarks that are off.
"""

import math

import torch
from torch import Tensor, nn

LOG_SPREAD_LIMITS = (-4.5, 1.5)
"""Predicted logarithms of the standard deviation are clipped to these in the loss: 0.2 to 90 degrees."""

ROBUST_BETA = 0.1
"""Where the smooth L1 loss of the start turns from square to linear: 2 degrees."""

EYES_SHARE = 0.5
"""Weight of the answers of single eyes relative to that of both."""


def total_loss(eyes: Tensor, both: Tensor, true_eyes: Tensor, true_both: Tensor, *, robust: bool) -> Tensor:
    """Return the loss of a batch.

    Args:
        eyes: Answers of single eyes, shape (n, 2, 4).
        both: Answers of both eyes, shape (n, 4).
        true_eyes: True directions, shape (n, 2, 2).
        true_both: True directions, shape (n, 2).
        robust: Whether the directions learn from a smooth L1 loss, and only the spreads from the likelihood.
    """
    return answer_loss(both, true_both, robust=robust) + EYES_SHARE * answer_loss(eyes, true_eyes, robust=robust)


def answer_loss(answers: Tensor, truth: Tensor, *, robust: bool) -> Tensor:
    """Return the mean loss of answers: directions and logarithms of their standard deviations.

    Args:
        answers: Shape (..., 4).
        truth: True directions, shape (..., 2).
        robust: As in `total_loss`.
    """
    direction, log_spread = answers[..., :2], answers[..., 2:]
    if robust:
        start = nn.functional.smooth_l1_loss(direction, truth, beta=ROBUST_BETA)
        return start + 0.1 * laplace_loss(direction.detach(), log_spread, truth)
    return laplace_loss(direction, log_spread, truth)


def laplace_loss(direction: Tensor, log_spread: Tensor, truth: Tensor) -> Tensor:
    """Return the mean negative logarithm of Laplace densities with the predicted spreads, less a constant."""
    clipped = log_spread.clamp(*LOG_SPREAD_LIMITS)
    return (math.sqrt(2) * (direction - truth).abs() * torch.exp(-clipped) + clipped).mean()
