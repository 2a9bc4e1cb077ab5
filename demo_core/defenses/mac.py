"""MAC, the multi-view augmented counterattack (CVPR 2026, arXiv 2606.06938)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch

from demo_core.ascent import Budget, Dice, random_start
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Encode, Gate, counterattack, relative_drift
from demo_core.defenses.averages import mean_of
from demo_core.defenses.published import answer, everyone
from demo_core.defenses.random_views import augmented
from demo_core.defenses.signals import CORRUPTION
from demo_core.moments import Defended, Defending, Looked, Measured, Moved, exhausted


@dataclass(frozen=True)
class MACConfig:
    """MAC's settings: the counterattack's budget, and the soft gate over the corruption degree."""

    budget: Budget = Budget(eps=8 / 255, step_size=2 / 255, steps=4)
    gate: Gate = Gate(CORRUPTION, 0.7, slope=100.0)


def mac_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: MACConfig = MACConfig()
) -> torch.Tensor:
    """The corruption degree [B]: how far a random view moves the embedding, ‖f(aug(x)) - f(x)‖ / ‖f(x)‖."""
    return relative_drift(clip.encode(augmented(pixels, dice)), clip.encode(pixels))


def _countered(
    encode: Encode, pixels: torch.Tensor, moved: torch.Tensor, start: torch.Tensor, config: MACConfig
) -> Generator[Measured | Moved, None, tuple[torch.Tensor, torch.Tensor]]:
    """See mac_delta."""
    with torch.no_grad():
        anchor = encode(pixels)
        degree = relative_drift(encode(moved), anchor)
    weight = config.gate.weight(degree)
    yield Measured(CORRUPTION, degree, weight)
    for step in counterattack(encode, pixels, start, config.budget, anchor=anchor):
        yield Moved(everyone(pixels), step.delta, step.output)
    return weight.view(-1, 1, 1, 1) * step.delta, degree


def mac_delta(
    encode: Encode,
    pixels: torch.Tensor,
    moved: torch.Tensor,
    start: torch.Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    middle: float,
    width: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """MAC's perturbation [B,3,H,W] of one view, pixels, and its corruption degree [B] under the augmented
    one, moved: from `start`, `steps` signed steps away from f(pixels), of which the last alone counts, times
    sigma((degree - middle) / width)."""
    config = MACConfig(Budget(eps, step_size, steps), Gate(CORRUPTION, middle, slope=1 / width))
    return exhausted(_countered(encode, pixels, moved, start, config))


def mac(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: MACConfig = MACConfig(),
) -> Defending:
    """Two views, the picture and one augmented, each counterattacked as in mac_delta; the logits are
    averaged. The moments of the second view's are not told: they start from another picture."""
    moved: list[torch.Tensor] = []
    degrees: list[torch.Tensor] = []
    for view in (pixels, augmented(pixels, dice)):
        given = view.detach()
        other, start = augmented(given, dice), random_start(given, config.budget.eps, dice)
        countered = _countered(clip.encode, given, other, start, config)
        delta, degree = (yield from countered) if not moved else exhausted(countered)
        moved.append(view + delta)
        degrees.append(degree)
    logits = torch.stack([answer(clip, each, text) for each in moved])
    yield Looked(torch.stack(moved), logits)
    signals = {CORRUPTION: degrees[0], "corruption degree of the view": degrees[1]}
    return Defended(moved[0], mean_of(logits), signals)
