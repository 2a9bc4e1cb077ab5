"""DOC, the directional orthogonal counterattack (AAAI 2026, arXiv 2511.09064)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.ascent import Budget, Dice, Step, random_start, uniform
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Gate, counterattack
from demo_core.defenses.averages import mean_of
from demo_core.defenses.published import answer, everyone
from demo_core.defenses.signals import TAU_HAT
from demo_core.moments import Defended, Defending, Measured, Moved


@dataclass(frozen=True)
class DOCConfig:
    """The settings of DOC (see `doc`). The budget is its paper's; the rest stands in a supplement that is not
    public: lam, the weight of the orthogonal direction; mu, the momentum; the gate's slope (its gamma) and
    threshold over tau_hat; copies, the noisy copies of tau_hat. Here they are set by hand; the embedded
    models' are chosen on training pictures (`python -m demo_core.embedded.calibrate`) and stand in their
    profiles.
    """

    budget: Budget = Budget(eps=4 / 255, step_size=3 / 255, steps=4)
    gate: Gate = Gate(TAU_HAT, 0.01, below=True, slope=500.0)
    lam: float = 0.5
    mu: float = 0.9
    copies: int = 2


def doc(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: DOCConfig = DOCConfig(),
) -> Defending:
    """The counterattack; see DOCConfig.

    The counterattack's objective along d = g + lambda r, where g is the unit gradient and r a random unit
    direction orthogonal to it, with momentum m <- mu m + d and steps of sign(m); the result is weighted by
    sigma(gamma (tau - tau_hat)), tau_hat being one minus the mean cosine between the features of noisy copies
    and the picture's.
    """
    given = pixels.detach()
    with torch.no_grad():
        tau_hat = doc_signal(clip, given, dice, config)
    weight = config.gate.weight(tau_hat)
    yield Measured(TAU_HAT, tau_hat, weight)
    delta = yield from doc_delta(clip, given, config, dice)
    moved = pixels + weight.view(-1, 1, 1, 1) * delta
    return Defended(moved, answer(clip, moved, text), {TAU_HAT: tau_hat, "weight": weight})


def doc_signal(
    clip: ZeroShotCLIP, pixels: torch.Tensor, dice: Dice = None, config: DOCConfig = DOCConfig()
) -> torch.Tensor:
    """DOC's tau_hat [B], differentiable."""
    anchor, given = clip.probe(pixels), pixels.detach()
    noisy = [clip.probe(pixels + random_start(given, config.budget.eps, dice)) for _ in range(config.copies)]
    return 1 - mean_of([F.cosine_similarity(features, anchor) for features in noisy])


def doc_delta(
    clip: ZeroShotCLIP, pixels: torch.Tensor, config: DOCConfig, dice: Dice = None
) -> Generator[Moved, None, torch.Tensor]:
    """DOC's perturbation [B,3,H,W] before the gate, step by step."""
    momentum = torch.zeros_like(pixels)

    def advance(step: Step, gradient: torch.Tensor) -> torch.Tensor:
        nonlocal momentum
        g = F.normalize(gradient.flatten(1))
        r = uniform(g.shape, dice).to(g)
        r = F.normalize(r - (r * g).sum(1, keepdim=True) * g)
        momentum = config.mu * momentum + (g + config.lam * r).view_as(gradient)
        return step.delta + config.budget.step_size * momentum.sign()

    start = random_start(pixels, config.budget.eps, dice)
    for step in counterattack(clip.encode, pixels, start, config.budget, advance=advance):
        yield Moved(everyone(pixels), step.delta, step.output)
    return step.delta
