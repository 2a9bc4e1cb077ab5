"""Defences in feature space: many views of a picture, and a shift of its embedding towards where they lie.
DBD (ICLR 2026, arXiv 2606.06186) and AGC (arXiv 2605.15584). They move no pixel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Gate
from demo_core.defenses.averages import mean_of
from demo_core.defenses.random_views import dbd_views, perspective
from demo_core.defenses.signals import AGREEMENT
from demo_core.defenses.views import over_stack
from demo_core.moments import Defended, Defending, Looked, Measured


@dataclass(frozen=True)
class DBDConfig:
    """kept: how many of the 31 views, those of least entropy; gate: over it the shifts agree so well that
    the picture was pushed, and their mean is taken `strength` times, else once."""

    kept: int = 16
    gate: Gate = Gate(AGREEMENT, 0.8)
    strength: float = 2.5


def together(shifts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The mean [B,D] of shifts [V,B,D], and how well they agree [B]: their mean cosine with it."""
    mean = mean_of(shifts)
    return mean, mean_of(F.cosine_similarity(shifts, mean[None], dim=-1))


def _shifts(features: torch.Tensor, logits: torch.Tensor, kept: int) -> torch.Tensor:
    """The shifts [kept,B,D] of the views of least entropy from the picture, item 0."""
    log = logits[1:].log_softmax(-1)
    entropy = -(log.exp() * log).sum(-1)
    order = entropy.argsort(stable=True, dim=0)[:kept].unsqueeze(-1).expand(-1, -1, features.shape[-1])
    return features[1:].gather(0, order) - features[:1]


def dbd_feature(
    features: torch.Tensor, logits: torch.Tensor, *, kept: int, threshold: float, strength: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """DBD's feature [B,D], not normalised, and its score [B], from unit features [1 + V,B,D] and logits
    [1 + V,B,K] of the picture, item 0, and its views.

    Of the views the `kept` of least entropy; the score is the mean cosine of their shifts with the mean
    shift, which is added `strength` times where the score is over the threshold, else once. Which views are
    kept and how strongly counts as constant to one who differentiates.
    """
    mean, score = together(_shifts(features, logits.detach(), kept))
    amplified = torch.where(Gate(AGREEMENT, threshold).engages(score.detach()), strength, 1.0)
    return features[0] + mean * amplified.unsqueeze(-1), score


def unit_features(clip: ZeroShotCLIP, views: torch.Tensor) -> torch.Tensor:
    """The unit features [V,B,D] of a stack of views [V,B,3,S,S]."""
    return F.normalize(over_stack(clip.encode, views), dim=-1)


def stacked_logits(clip: ZeroShotCLIP, features: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """The logits [V,B,K] of a stack of features [V,B,D]."""
    return over_stack(lambda f: clip.logits(f, text), features)


def dbd(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: DBDConfig = DBDConfig(),
) -> Defending:
    """The picture is answered from its embedding, shifted as its steadiest views lie from it; further where
    they agree."""
    views = torch.cat([pixels[None], dbd_views(pixels, dice)])
    features = unit_features(clip, views)
    logits = stacked_logits(clip, features, text)
    feature, score = dbd_feature(
        features, logits, kept=config.kept, threshold=config.gate.threshold, strength=config.strength
    )
    yield Measured(AGREEMENT, score.detach(), config.gate.weight(score.detach()))
    yield Looked(views, logits)
    return Defended(pixels, clip.logits(feature, text), {AGREEMENT: score.detach()})


def dbd_ungated(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: DBDConfig = DBDConfig(),
) -> Defending:
    """What is left of it for a picture that its gate lets pass: the mean shift, taken once."""
    return (yield from dbd(clip, pixels, text, dice, replace(config, strength=1.0)))


def agreement(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: DBDConfig = DBDConfig()
) -> torch.Tensor:
    """How well the shifts of all of DBD's views agree [B]: its score where no labels choose among them;
    differentiable."""
    features = unit_features(clip, torch.cat([pixels[None], dbd_views(pixels, dice)]))
    return together(features[1:] - features[:1])[1]


@dataclass(frozen=True)
class AGCConfig:
    """views: how many slants of the picture (its paper's 32); beta_clean, beta_attacked: how far along the
    way to their mean, at the least and at the most; power: of the outlierness."""

    views: int = 32
    beta_clean: float = 0.45
    beta_attacked: float = 2.25
    power: float = 0.9


def agc_feature(
    features: torch.Tensor, *, beta_clean: float, beta_attacked: float, power: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """AGC's unit feature [B,D] and beta [B], from unit features [1 + V,B,D] of the picture, item 0, and its
    views.

    outlierness: the mean of 1 - cosine of the views with the picture; trust: (1 + the mean cosine of all
    pairs of views) / 2, both within [0, 1]; beta = beta_clean + (beta_attacked - beta_clean) *
    outlierness^power * trust, the share of the great circle from the picture to the views' mean that is gone;
    over 1 past it.
    """
    own, views = features[0], features[1:]
    count = len(views)
    anchor = F.normalize(mean_of(views), dim=-1)
    outlierness = (1 - mean_of(F.cosine_similarity(views, own[None], dim=-1))).clamp(0, 1)
    pairs = (count * count * mean_of(views).pow(2).sum(-1) - count) / (count * (count - 1))  # of unit length
    trust = ((1 + pairs) / 2).clamp(0, 1)
    beta = beta_clean + (beta_attacked - beta_clean) * outlierness.clamp_min(1e-12) ** power * trust
    cosine = (own * anchor).sum(-1).clamp(-1 + 1e-7, 1 - 1e-7)
    angle = torch.acos(cosine)
    ahead = F.normalize(anchor - cosine.unsqueeze(-1) * own, dim=-1)
    gone = (beta * angle).unsqueeze(-1)
    return F.normalize(torch.cos(gone) * own + torch.sin(gone) * ahead, dim=-1), beta


def agc(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: AGCConfig = AGCConfig(),
) -> Defending:
    """The picture is answered from its embedding, gone along the great circle towards the mean of its
    slants; further where they lie far from it and agree. It has no gate: the outlierness only scales it."""
    views = torch.stack([pixels, *(perspective(pixels, dice) for _ in range(config.views))])
    features = unit_features(clip, views)
    feature, beta = agc_feature(
        features, beta_clean=config.beta_clean, beta_attacked=config.beta_attacked, power=config.power
    )
    yield Looked(views, stacked_logits(clip, features, text))
    return Defended(pixels, clip.logits(feature, text), {"beta": beta.detach()})
