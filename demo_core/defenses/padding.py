"""Padding: the gate of TTP (test-time padding) and the control that its paper sets beside it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Gate
from demo_core.defenses.signals import ENGAGED, PADDING
from demo_core.defenses.views import over_stack
from demo_core.moments import Defended, Defending, Looked, Measured


@dataclass(frozen=True)
class PaddingConfig:
    """border: of black on each side, as a share of the side (32 of 224 pixels); the gate is on the cosine of
    the picture's features with those of the padded one."""

    border: float = 32 / 224
    gate: Gate = Gate(PADDING, 0.8, below=True)


def padded(pixels: torch.Tensor, border: float) -> torch.Tensor:
    """The pictures [B,3,S,S] shrunk, with black around; differentiable."""
    side = pixels.shape[-1]
    edge = round(border * side)
    small = F.interpolate(
        pixels, (side - 2 * edge,) * 2, mode="bilinear", antialias=True, align_corners=False
    )
    return F.pad(small, [edge] * 4)


def padding_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: PaddingConfig = PaddingConfig()
) -> torch.Tensor:
    """The cosine [B] of the picture's features with those of the padded one."""
    return F.cosine_similarity(clip.encode(pixels), clip.encode(padded(pixels, config.border)), dim=-1)


def padding(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: PaddingConfig = PaddingConfig(),
) -> Defending:
    """Where padding turns the embedding far, the padded picture is classified in place of the picture."""
    views = torch.stack([pixels, padded(pixels, config.border)])
    features = over_stack(clip.encode, views)
    similarity = F.cosine_similarity(features[0], features[1], dim=-1).detach()
    engaged = config.gate.engages(similarity)
    yield Measured(PADDING, similarity, engaged.float())
    logits = over_stack(lambda f: clip.logits(f, text), features)
    if engaged.any():
        yield Looked(views[1:, engaged], logits[1:, engaged])
    return Defended(
        torch.where(engaged.view(-1, 1, 1, 1), views[1], views[0]),
        torch.where(engaged.view(-1, 1), logits[1], logits[0]),
        {PADDING: similarity, ENGAGED: engaged},
    )
