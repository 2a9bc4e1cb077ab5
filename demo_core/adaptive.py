"""Attackers who know the defence: what they differentiate, and which of several perturbations they keep."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F

from demo_core.ascent import Dice, Step
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses.averages import log_mean
from demo_core.defenses.table import Defence
from demo_core.moments import exhausted, step_by_step

Classify = Callable[[torch.Tensor], torch.Tensor]


def through(
    defense: Defence, clip: ZeroShotCLIP, text: torch.Tensor, dice: Dice = None, samples: int = 1
) -> Classify:
    """What an adaptive attacker attacks in place of the bare classifier: pixels [B,3,H,W] -> defended logits
    [B,K].

    Gate and counterattack run for real at every step, and count as a constant shift in the backward pass
    (BPDA) where `defense` does not unroll them; views of the pixels are differentiated through. Every call
    draws afresh: he knows the code but not the dice, and over the steps he averages over them; with samples >
    1 within each step too (EOT, Athalye et al., ICML 2018). Give it to any adaptable row of ATTACKS.

    defense: a row of DEFENSES on a model's profile, or one of its surrogates.
    """

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        drawn = [exhausted(defense(clip, pixels, text, dice)).logits for _ in range(samples)]
        return drawn[0] if samples == 1 else log_mean(torch.stack(drawn))

    return classify


def informed(
    craft: Callable[[Classify], Iterator[Step]],
    defense: Defence,
    clip: ZeroShotCLIP,
    text: torch.Tensor,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    plain: torch.Tensor,
    dice: Dice = None,
    *,
    surrogates: Sequence[Defence] = (),
    samples: int = 1,
    targeted: bool = False,
) -> Iterator[Step | None]:
    """The steps of an attack by someone who knows the defence; the last holds what does most to the defended
    prediction of each picture: the attack through the defence, one through a surrogate of it, or `plain`, the
    one on the bare model.

    craft: makes the attack's steps on a function from pixels to logits; the rest as in `through` and
    `stronger`. None stands for a step of an attack through a surrogate: nobody is shown it, but whoever asked
    for the whole can stop there.
    """
    deltas = [plain]
    for other in surrogates:
        deltas.append((yield from step_by_step(craft(through(other, clip, text, dice, samples)))).delta)
    for step in craft(through(defense, clip, text, dice, samples)):
        if step.output is None:
            step = replace(
                step,
                delta=stronger(
                    through(defense, clip, text, dice, samples),
                    pixels,
                    labels,
                    [step.delta, *deltas],
                    targeted,
                ),
            )
        yield step


@torch.no_grad()
def stronger(
    classify: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    labels: torch.Tensor,
    deltas: list[torch.Tensor],
    targeted: bool = False,
) -> torch.Tensor:
    """Of several perturbations of each picture, the one [B,3,H,W] that leaves the label least (targeted:
    gives it most) in classify(pixels) -> logits [B,K], a defended prediction on the attacker's own draw: he
    can run the defence himself, and keeps what works. Against some defences the gradient through them
    misleads, and the attack on the bare model is the better one."""
    losses = torch.stack(
        [F.cross_entropy(classify(pixels + delta), labels, reduction="none") for delta in deltas]
    )
    best = losses.argmin(0) if targeted else losses.argmax(0)
    return torch.stack(deltas)[best, torch.arange(len(pixels), device=best.device)]
