"""MAC, the multi-view augmented counterattack (CVPR 2026, arXiv 2606.06938)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from demo_core.ascent import Budget, Dice, random_start
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Gate, TTCConfig, counterattack, relative_drift, weigh
from demo_core.defenses.averages import mean_of
from demo_core.defenses.published import answer, everyone
from demo_core.defenses.signals import CORRUPTION
from demo_core.defenses.views import augmented
from demo_core.moments import Defended, Defending, Looked, Measured, Moved


@dataclass(frozen=True)
class MACConfig:
    """MAC's settings: the counterattack's budget, and the soft gate over the corruption degree."""

    budget: Budget = Budget(eps=8 / 255, step_size=2 / 255, steps=4)
    gate: Gate = Gate(CORRUPTION, 0.7, slope=100.0)


def mac(
    clip: ZeroShotCLIP,
    pixels: torch.Tensor,
    text: torch.Tensor,
    dice: Dice = None,
    config: MACConfig = MACConfig(),
) -> Defending:
    """The counterattack on two views; see MACConfig.

    Two views, the picture and one augmented; each is counterattacked (8/255, 2/255, 4 steps), weighted by
    sigma((d - .7) / .01) with d = ‖f(aug(v)) - f(v)‖ / ‖f(v)‖, the corruption degree; the logits are
    averaged. The counterattack starts from noise and is weighted over its steps as in TTC. The moments of the
    second view's are not told: they start from another picture.
    """
    moved: list[torch.Tensor] = []
    degrees: list[torch.Tensor] = []
    for view in (pixels, augmented(pixels, dice)):
        given = view.detach()
        with torch.no_grad():
            anchor = clip.encode(given)
            degree = relative_drift(clip.encode(augmented(given, dice)), anchor)
        weight = config.gate.weight(degree)
        start, deltas = random_start(given, config.budget.eps, dice), []
        if not moved:
            yield Measured(CORRUPTION, degree, weight)
        for step in counterattack(clip.encode, given, start, config.budget, anchor=anchor):
            if not moved:
                yield Moved(everyone(pixels), step.delta, step.output)
            deltas.append(step.delta)
        moved.append(view + weight.view(-1, 1, 1, 1) * weigh(deltas, TTCConfig().beta))
        degrees.append(degree)
    logits = torch.stack([answer(clip, each, text) for each in moved])
    yield Looked(torch.stack(moved), logits)
    signals = {CORRUPTION: degrees[0], "corruption degree of the view": degrees[1]}
    return Defended(moved[0], mean_of(logits), signals)
