"""Attacks: objectives over the one loop of ascent.py, and ATTACKS, the table that everything else iterates
over.

All are l-inf attacks in pixel units on `classify`, which maps pixels [B,3,H,W] in [0,1] to logits [B,K].
`start` is the first perturbation, already inside the budget and the pixel range; without one, it is drawn
from `generator`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.apgd import AutoStep, dlr, margin
from demo_core.ascent import Dice, Step, ascend, random_start
from demo_core.clip import ZeroShotCLIP

Classify = Callable[[torch.Tensor], torch.Tensor]


def noise(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float = 0.0,
    steps: int = 1,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """No attack, the control: uniform noise in [-eps, eps] (or `start`), put on in one step.

    step_size and steps are accepted so that all rows are called alike, and not used.
    """
    start = _start(pixels, eps, start, generator)
    return ascend(
        classify,
        lambda logits: F.cross_entropy(logits, labels, reduction="none"),
        pixels,
        torch.zeros_like(pixels),
        eps=eps,
        step_size=eps,
        steps=1,
        advance=lambda step, gradient: start,
    )


def _apgd(
    objective: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    steps: int,
    start: torch.Tensor | None,
    generator: Dice,
) -> Iterator[Step]:
    rule = AutoStep(pixels, labels, eps, steps)
    for step in ascend(
        classify,
        lambda logits: objective(logits, labels),
        pixels,
        _start(pixels, eps, start, generator),
        eps=eps,
        step_size=0.0,
        steps=steps,
        advance=rule,
    ):
        yield step if step.output is not None or not rule.values else Step(step.index, rule.result)


def apgd_ce(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float = 0.0,
    steps: int,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """Auto-PGD on the cross-entropy (Croce & Hein, ICML 2020), a part of AutoAttack: it finds its step size
    itself.

    steps: gradients taken, the start's included; the last item holds the last point that fooled the model,
    else the best. step_size is accepted so that all rows are called alike, and not used.
    """
    return _apgd(
        lambda z, y: F.cross_entropy(z, y, reduction="none"),
        classify,
        pixels,
        labels,
        eps=eps,
        steps=steps,
        start=start,
        generator=generator,
    )


def apgd_dlr(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float = 0.0,
    steps: int,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """Auto-PGD on the difference of logits ratio (Croce & Hein, ICML 2020); as apgd_ce in all else."""
    return _apgd(dlr, classify, pixels, labels, eps=eps, steps=steps, start=start, generator=generator)


def _start(pixels: torch.Tensor, eps: float, start: torch.Tensor | None, generator: Dice) -> torch.Tensor:
    return random_start(pixels, eps, generator) if start is None else start


def fgsm(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float = 0.0,
    steps: int = 1,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """Fast gradient sign method (Goodfellow et al., ICLR 2015): one step of size eps from the picture itself.

    step_size, steps, start and generator are accepted so that all rows are called alike, and not used.
    """
    return ascend(
        classify,
        lambda logits: F.cross_entropy(logits, labels, reduction="none"),
        pixels,
        torch.zeros_like(pixels),
        eps=eps,
        step_size=eps,
        steps=1,
    )


def pgd(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """Projected gradient descent (Madry et al., ICLR 2018): raise the cross-entropy of the true labels
    [B]."""
    return ascend(
        classify,
        lambda logits: F.cross_entropy(logits, labels, reduction="none"),
        pixels,
        _start(pixels, eps, start, generator),
        eps=eps,
        step_size=step_size,
        steps=steps,
    )


def targeted_pgd(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """PGD towards chosen labels (Kurakin et al., 2017): lower the cross-entropy of `labels` [B], the
    targets."""
    return ascend(
        classify,
        lambda logits: -F.cross_entropy(logits, labels, reduction="none"),
        pixels,
        _start(pixels, eps, start, generator),
        eps=eps,
        step_size=step_size,
        steps=steps,
    )


def cw(
    classify: Classify,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    start: torch.Tensor | None = None,
    generator: Dice = None,
) -> Iterator[Step]:
    """The margin loss of Carlini & Wagner (IEEE S&P 2017) inside the eps-ball: raise -relu(correct -
    best_wrong + 50).

    With one label there is no wrong one, and nothing to raise.
    """

    def objective(logits: torch.Tensor) -> torch.Tensor:
        correct, best_wrong = margin(logits, labels)
        return -F.relu(correct - best_wrong + 50)

    return ascend(
        classify,
        objective,
        pixels,
        _start(pixels, eps, start, generator),
        eps=eps,
        step_size=step_size,
        steps=steps,
    )


def seen_by(surrogate: ZeroShotCLIP, labels: tuple[str, ...], template: str) -> Classify:
    """Logits of another model for pixels of any size: what a transfer attack is made on."""
    classify, side = surrogate.classifier(labels, template), surrogate.image_size

    def resized(pixels: torch.Tensor) -> torch.Tensor:
        if pixels.shape[-1] != side:
            pixels = F.interpolate(pixels, (side, side), mode="bilinear", antialias=True, align_corners=False)
        return classify(pixels)

    return resized


@dataclass(frozen=True)
class Attack:
    """A row of the table. run: the generator; targeted: `labels` are what the attacker wants, not what is
    true; single_step: step size and steps are fixed by the method; own_step_size: the step size alone is;
    transfer: it is crafted on another model; control: it is no attack."""

    title: str
    run: Callable[..., Iterator[Step]]
    help: str
    targeted: bool = False
    single_step: bool = False
    own_step_size: bool = False
    transfer: bool = False
    control: bool = False

    @property
    def adaptable(self) -> bool:
        """Whether an attacker who knows the defence can make it through the defence."""
        return not (self.transfer or self.control)


ATTACKS: dict[str, Attack] = {
    "pgd": Attack("PGD", pgd, "Many small steps that make the model's first guess ever less likely."),
    "fgsm": Attack("FGSM", fgsm, "One single step of the full size eps.", single_step=True),
    "targeted_pgd": Attack(
        "Targeted PGD", targeted_pgd, "Many small steps towards a label of your choice.", targeted=True
    ),
    "cw": Attack("CW", cw, "Many small steps that widen the lead of the best wrong label."),
    "apgd_ce": Attack(
        "APGD-CE",
        apgd_ce,
        "PGD that finds its step size itself, a part of AutoAttack. Give it some tens of steps.",
        own_step_size=True,
    ),
    "apgd_dlr": Attack(
        "APGD-DLR", apgd_dlr, "The same on a loss that no scaling of the logits weakens.", own_step_size=True
    ),
    "transfer": Attack(
        "Transfer", pgd, "PGD on another model: its attack is carried over to this one.", transfer=True
    ),
    "noise": Attack(
        "Random noise",
        noise,
        "No attack, the control: noise of the same size.",
        single_step=True,
        control=True,
    ),
}
