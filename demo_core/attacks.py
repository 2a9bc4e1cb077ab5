"""Attacks: objectives over the one loop of ascent.py, and ATTACKS, the table that everything else iterates over.

All are l-inf attacks in pixel units on `classify`, which maps pixels [B,3,H,W] in [0,1] to logits [B,K]. `start` is
the first perturbation, already inside the budget and the pixel range; without one, it is drawn from `generator`.
"""
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from demo_core.ascent import Step, ascend, random_start

Classify = Callable[[torch.Tensor], torch.Tensor]


def _start(pixels, eps, start, generator):
    return random_start(pixels, eps, generator) if start is None else start


def fgsm(classify: Classify, pixels: torch.Tensor, labels: torch.Tensor, *, eps: float, step_size: float = 0.0,
         steps: int = 1, start: torch.Tensor | None = None, generator: torch.Generator | None = None) -> Iterator[Step]:
    """Fast gradient sign method (Goodfellow et al., ICLR 2015): one step of size eps from the picture itself.

    step_size, steps, start and generator are accepted so that all rows are called alike, and not used.
    """
    return ascend(classify, lambda logits: F.cross_entropy(logits, labels, reduction="none"), pixels,
                  torch.zeros_like(pixels), eps=eps, step_size=eps, steps=1)


def pgd(classify: Classify, pixels: torch.Tensor, labels: torch.Tensor, *, eps: float, step_size: float, steps: int,
        start: torch.Tensor | None = None, generator: torch.Generator | None = None) -> Iterator[Step]:
    """Projected gradient descent (Madry et al., ICLR 2018): raise the cross-entropy of the true labels [B]."""
    return ascend(classify, lambda logits: F.cross_entropy(logits, labels, reduction="none"), pixels,
                  _start(pixels, eps, start, generator), eps=eps, step_size=step_size, steps=steps)


def targeted_pgd(classify: Classify, pixels: torch.Tensor, labels: torch.Tensor, *, eps: float, step_size: float,
                 steps: int, start: torch.Tensor | None = None,
                 generator: torch.Generator | None = None) -> Iterator[Step]:
    """PGD towards chosen labels (Kurakin et al., 2017): lower the cross-entropy of `labels` [B], the targets."""
    return ascend(classify, lambda logits: -F.cross_entropy(logits, labels, reduction="none"), pixels,
                  _start(pixels, eps, start, generator), eps=eps, step_size=step_size, steps=steps)


def cw(classify: Classify, pixels: torch.Tensor, labels: torch.Tensor, *, eps: float, step_size: float, steps: int,
       start: torch.Tensor | None = None, generator: torch.Generator | None = None) -> Iterator[Step]:
    """The margin loss of Carlini & Wagner (IEEE S&P 2017) inside the eps-ball: raise -relu(correct - best_wrong + 50).

    With one label there is no wrong one, and nothing to raise.
    """
    def objective(logits: torch.Tensor) -> torch.Tensor:
        correct = logits.gather(1, labels[:, None])[:, 0]
        is_label = F.one_hot(labels, logits.shape[1]).bool()
        best_wrong = logits.masked_fill(is_label, float("-inf")).max(1).values if logits.shape[1] > 1 else correct
        return -F.relu(correct - best_wrong + 50)

    return ascend(classify, objective, pixels, _start(pixels, eps, start, generator),
                  eps=eps, step_size=step_size, steps=steps)


@dataclass(frozen=True)
class Attack:
    """A row of the table. run: the generator; targeted: `labels` are what the attacker wants, not what is true;
    single_step: step size and steps are fixed by the method."""

    title: str
    run: Callable[..., Iterator[Step]]
    help: str
    targeted: bool = False
    single_step: bool = False


ATTACKS: dict[str, Attack] = {
    "pgd": Attack("PGD", pgd, "Many small steps that make the model's first guess ever less likely."),
    "fgsm": Attack("FGSM", fgsm, "One single step of the full size eps.", single_step=True),
    "targeted_pgd": Attack("Targeted PGD", targeted_pgd, "Many small steps towards a label of your choice.", targeted=True),
    "cw": Attack("CW", cw, "Many small steps that widen the lead of the best wrong label."),
}
