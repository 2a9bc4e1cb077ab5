"""T-VSS, test-time visual subspace steering (arXiv 2606.23132): crops of a picture span the few directions in
which its embedding gives way, and one step along these makes them all surer of their answers. It moves no
pixel, and its gradient never enters the image tower.

What was at hand of it leaves three things open. Which crops: here those of DBD, half to all of the area. How
many: 64 there, with 8 to 16 nearly as good; here 8, which on 24 training photographs (clean, and PGD-10 at
1/255 and 4/255) kept no less than 16, 32 or 64 did. What answers: the correction is shared, so here it moves
every crop, and these answer together by their weights; z_0 + V_m alpha alone left the attacked pictures as
the attacker left them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses.averages import log_mean, mean_of
from demo_core.defenses.random_views import resized_crop
from demo_core.defenses.shifts import stacked_logits, unit_features
from demo_core.defenses.signals import RANK
from demo_core.moments import Defended, Defending, Looked, Measured

ADAM_EPS = 1e-8  # the optimiser's own, which keeps its step finite


@dataclass(frozen=True)
class TVSSConfig:
    """views: random crops; energy: the share of the residuals' squared singular values that the subspace
    holds; rate: of the optimiser's one step; neighbours, temperature: of the weights of the crops."""

    views: int = 8
    energy: float = 0.9
    rate: float = 0.1
    neighbours: int = 5
    temperature: float = 0.05


def subspace(residuals: torch.Tensor, energy: float) -> torch.Tensor:
    """The first directions [m,D] of residuals [V,D], orthonormal: as few as hold that share of the squared
    singular values."""
    _, sizes, directions = torch.linalg.svd(residuals, full_matrices=False)
    held = sizes.double().pow(2).cumsum(0)
    return directions[: int((held < energy * held[-1]).sum()) + 1]


def crop_weights(views: torch.Tensor, neighbours: int, temperature: float) -> torch.Tensor:
    """How much each crop counts [V,B], from unit features [V,B,D]: the softmax over the crops of the mean
    cosine with its nearest others, over the temperature."""
    cosines = torch.stack([F.cosine_similarity(view[None], views, dim=-1) for view in views])
    others = cosines.masked_fill(torch.eye(len(views), dtype=torch.bool).unsqueeze(-1).to(cosines.device), -2)
    nearest = others.topk(min(neighbours, len(views) - 1), dim=1).values
    return F.softmax(mean_of(nearest.unbind(1)) / temperature, dim=0)


def first_step(gradient: torch.Tensor, rate: float) -> torch.Tensor:
    """Where AdamW's first step leads from 0: its two averages are the gradient itself and its square, and of
    nothing there is nothing to decay."""
    return -rate * gradient / (gradient.abs() + ADAM_EPS)


def tvss_correction(
    clip: ZeroShotCLIP,
    features: torch.Tensor,
    weights: torch.Tensor,
    text: torch.Tensor,
    config: TVSSConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """T-VSS's shared correction [B,D] and its rank [B], both constants, from unit features [1 + V,B,D] of the
    picture, item 0, and its crops, and the weights [V,B] of these.

    The correction is V_m alpha, V_m being the subspace of the residuals z_i - z_0 and alpha one optimiser
    step from 0 that lowers the weighted entropy of the answers at z_i + V_m alpha.
    """
    features = features.detach()
    with torch.enable_grad():
        leaf = features[1:].clone().requires_grad_(True)  # each is moved by the same, so their slopes add up
        log = stacked_logits(clip, leaf, text).log_softmax(-1)
        entropy = -(weights * (log.exp() * log).sum(-1)).sum()
    (slopes,) = torch.autograd.grad(entropy, leaf)
    slope = mean_of(slopes) * len(slopes)
    corrections, ranks = [], []
    for residuals, along in zip((features[1:] - features[:1]).unbind(1), slope):
        directions = subspace(residuals, config.energy)
        corrections.append(first_step(directions @ along, config.rate) @ directions)
        ranks.append(len(directions))
    return torch.stack(corrections), torch.tensor(ranks, device=features.device).float()


def tvss(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: TVSSConfig = TVSSConfig(),
) -> Defending:
    """The crops, each moved by V_m alpha, answer together, by their weights. Weights and correction count as
    constants to one who differentiates; through the crops he does."""
    views = torch.stack([resized_crop(pixels, dice) for _ in range(config.views)])
    features = unit_features(clip, torch.cat([pixels[None], views]))
    weights = crop_weights(features[1:].detach(), config.neighbours, config.temperature)
    correction, rank = tvss_correction(clip, features, weights, text, config)
    yield Measured(RANK, rank, torch.ones_like(rank))
    logits = stacked_logits(clip, features[1:] + correction, text)
    yield Looked(views, logits)
    return Defended(pixels, log_mean(logits, weights), {RANK: rank})
