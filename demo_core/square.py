"""The Square attack (Andriushchenko et al., ECCV 2020), its l-inf kind: a black box that only sees scores."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from demo_core.ascent import Dice, Step, project, uniform

FIRST_SHARE = 0.8  # of the picture that the first squares cover: AutoAttack's value; the paper's is .05
# The share is halved after so many of 10000 queries.
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)


def share_at(change: int, steps: int) -> float:
    """The share of the picture that the square of a change covers, counted from 0: the paper's schedule for
    10000 of them, rescaled to `steps`."""
    at = change * 10000 // steps
    return FIRST_SHARE / 2 ** sum(at > after for after in HALVED_AFTER)


def stripes(pixels: torch.Tensor, eps: float, dice: Dice = None) -> torch.Tensor:
    """The start [B,3,H,W]: vertical stripes one pixel wide, each channel of each eps up or down."""
    b, c, _, w = pixels.shape
    up = uniform((b, c, 1, w), dice) < 0
    return project(torch.where(up, eps, -eps).to(pixels).expand_as(pixels), pixels, eps)


def squared(delta: torch.Tensor, share: float, eps: float, dice: Dice = None) -> torch.Tensor:
    """The perturbation [B,3,H,W] with one random square of each picture, a share of its area, set to eps up
    or down in each channel; not projected."""
    b, c, h, w = delta.shape
    side = min(max(round((share * h * w) ** 0.5), 1), h, w)
    drawn = uniform((b, 2 + c), dice, 0.0, 1.0).to(delta)
    down, right = drawn[:, 0] * (h - side + 1), drawn[:, 1] * (w - side + 1)
    rows, columns = torch.arange(h, device=delta.device), torch.arange(w, device=delta.device)
    high = (rows >= down.floor()[:, None]) & (rows < down.floor()[:, None] + side)
    wide = (columns >= right.floor()[:, None]) & (columns < right.floor()[:, None] + side)
    inside = (high[:, :, None] & wide[:, None, :])[:, None]
    colour = torch.where(drawn[:, 2:] < 0.5, eps, -eps)[:, :, None, None]
    return torch.where(inside, colour, delta)


def squares(
    classify: Callable[[torch.Tensor], torch.Tensor],
    objective: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    start: torch.Tensor,
    eps: float,
    steps: int,
    dice: Dice = None,
) -> Iterator[Step]:
    """Random search on pixels [B,3,H,W] in [0,1]: `steps` queries, the first for the start, each next one for
    the best so far with a random square changed, which is kept where the objective [B] rises. No gradient is
    taken. Yields steps + 1 items, the best point so far and what was said of it: the objective never falls.

    The paper stops at the first wrong answer; this goes on to a wider margin, which fools the same pictures.
    """
    with torch.no_grad():
        output = classify(pixels + start)
        value, best = objective(output), start
    yield Step(0, best, output, value)
    for query in range(1, steps):
        with torch.no_grad():
            tried = project(squared(best, share_at(query - 1, steps), eps, dice), pixels, eps)
            said = classify(pixels + tried)
            found = objective(said)
            better = found > value
            best = torch.where(better.view(-1, 1, 1, 1), tried, best)
            output = torch.where(better.view(-1, 1), said, output)
            value = torch.where(better, found, value)
        yield Step(query, best, output, value)
    yield Step(steps, best)
