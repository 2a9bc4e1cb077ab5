"""An adversarial patch: a visible square of any pixel values, after Brown et al. (arXiv 1712.09665, 2017),
but made for one picture at one place. It is no attack within a small eps."""

from __future__ import annotations

import torch

from demo_core.ascent import Advance, Dice, Step, uniform

STEP = 2.5  # of half the pixel range, shared out over the steps: enough to cross it


def square_mask(pixels: torch.Tensor, share: float, dice: Dice = None) -> torch.Tensor:
    """Where each picture's patch is [B,1,H,W], 0 or 1: a square of the given share of the shorter side, at a
    place drawn from the dice."""
    h, w = pixels.shape[-2:]
    side = max(round(share * min(h, w)), 1)
    drawn = uniform((len(pixels), 2), dice, 0.0, 1.0)
    mask = torch.zeros(len(pixels), 1, h, w)
    for each, (down, right) in zip(mask, drawn.tolist()):
        top, left = int(down * (h - side + 1)), int(right * (w - side + 1))
        each[:, top : top + side, left : left + side] = 1
    return mask.to(pixels)


def painted(pixels: torch.Tensor, mask: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """The start [B,3,H,W]: random pixel values in the patch."""
    return (uniform(pixels.shape, dice, 0.0, 1.0).to(pixels) - pixels) * mask


def painting(mask: torch.Tensor, steps: int) -> Advance:
    """The rule of steps: signed ones, in the patch [B,1,H,W] alone."""
    size = STEP * 0.5 / steps

    def advance(step: Step, gradient: torch.Tensor) -> torch.Tensor:
        return step.delta + size * gradient.sign() * mask

    return advance
