"""Means whose last bits do not depend on how many pictures there are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import torch


def mean_of(items: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """The mean over the first dimension, added up one after the other: torch's own sum takes an order, and so
    last bits, that depend on how many pictures there are."""
    return reduce(torch.add, items) / len(items)


def log_mean(logits: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """The logarithm [B,K] of the mean of the probabilities that logits [N,B,K] stand for, weighted by weights
    [N,B] that sum to 1 where there are some; exact where they are tiny."""
    logs = logits.log_softmax(-1)
    if weights is not None:
        logs = logs + (weights * len(weights)).log().unsqueeze(-1)
    highest = logs.detach().amax(0)
    return mean_of((logs - highest).exp()).log() + highest
