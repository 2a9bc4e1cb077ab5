"""The loop: signed gradient ascent inside an l-inf ball and the pixel range.

Every attack and the counterattack are this loop with another objective. It is a generator, so that a screen
can show each step and a benchmark can run it to the end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@dataclass(frozen=True)
class Step:
    """One point on the way.

    index: 0 for the start. delta: the perturbation after this step, detached (unless unrolled) [B,3,H,W].
    output: what the model returned for pixels + delta, detached; None at the last step, which nobody had to
    evaluate. objective: the value that is being raised, detached [B]; None at the last step.
    """

    index: int
    delta: torch.Tensor
    output: torch.Tensor | None = None
    objective: torch.Tensor | None = None


def project(delta: torch.Tensor, pixels: torch.Tensor, eps: float) -> torch.Tensor:
    """The nearest perturbation with |delta| <= eps and pixels + delta in [0, 1]."""
    return (pixels + delta.clamp(-eps, eps)).clamp(0, 1) - pixels


Dice = torch.Generator | Sequence[torch.Generator] | None


def uniform(
    shape: torch.Size | Sequence[int], dice: Dice = None, low: float = -1.0, high: float = 1.0
) -> torch.Tensor:
    """Numbers [B,...] drawn on the CPU, so that a seed means the same everywhere.

    dice: one generator for the whole batch, or one for each of its B pictures: then what a picture gets does
    not depend on the batch that it is in.
    """
    return _drawn(shape, dice, lambda empty, die: empty.uniform_(low, high, generator=die))


def gaussian(shape: torch.Size | Sequence[int], dice: Dice = None) -> torch.Tensor:
    """Numbers [B,...] of the standard normal distribution, drawn in the same way."""
    return _drawn(shape, dice, lambda empty, die: empty.normal_(generator=die))


def _drawn(
    shape: torch.Size | Sequence[int],
    dice: Dice,
    fill: Callable[[torch.Tensor, torch.Generator | None], torch.Tensor],
) -> torch.Tensor:
    if isinstance(dice, Sequence):
        return torch.stack([fill(torch.empty(tuple(shape)[1:]), die) for die in dice])
    return fill(torch.empty(tuple(shape)), dice)


def random_start(pixels: torch.Tensor, eps: float, dice: Dice = None) -> torch.Tensor:
    """Uniform noise in [-eps, eps], projected."""
    return project(uniform(pixels.shape, dice, -eps, eps).to(pixels), pixels, eps)


Advance = Callable[[Step, torch.Tensor], torch.Tensor]  # (step, gradient [B,3,H,W]) -> the next delta


@dataclass(frozen=True)
class Budget:
    """What an ascent may spend; the counterattack's values in the paper. eps, step_size: in pixel units."""

    eps: float = 4 / 255
    step_size: float = 1 / 255
    steps: int = 2


def ascend(
    model: Callable[[torch.Tensor], torch.Tensor],
    objective: Callable[[torch.Tensor], torch.Tensor],
    pixels: torch.Tensor,
    start: torch.Tensor,
    budget: Budget,
    *,
    advance: Advance | None = None,
    unroll: bool = False,
) -> Iterator[Step]:
    """Raise objective(model(pixels + delta)) from `start`: yields steps + 1 items, the first being the start.

    model: pixels [B,3,H,W] -> anything [B,...]; objective: that -> [B], each row a function of its own row
    alone. advance: (step, gradient [B,3,H,W]) -> the next delta, for a method with another rule than a signed
    step; it is projected here. unroll: keep the graph over all steps, so that the deltas are differentiable
    with respect to `pixels`, for an attacker of whoever runs this loop; signs pass gradients on as
    `passing_sign` does. The forward pass of a step is done before the item is yielded and its backward pass
    after, so that a reader who stops early pays for nothing more. No grad mode is open while the generator is
    suspended.
    """
    sign = passing_sign if unroll else torch.sign
    pixels, delta = (pixels, start) if unroll else (pixels.detach(), start.detach())
    for index in range(budget.steps):
        with torch.enable_grad(), sdpa_kernel(SDPBackend.MATH) if unroll else nullcontext():
            # fused attention has no second derivative
            leaf = delta if delta.requires_grad else delta.clone().requires_grad_(True)
            output = model(pixels + leaf)
            value = objective(output)
            total = value.sum()
        step = Step(index, delta, output.detach(), value.detach())
        yield step
        (gradient,) = torch.autograd.grad(total, leaf, create_graph=unroll)
        with torch.set_grad_enabled(unroll):
            moved = delta + budget.step_size * sign(gradient) if advance is None else advance(step, gradient)
            delta = project(moved, pixels, budget.eps)
    yield Step(budget.steps, delta)


def with_best(
    steps: Iterator[Step], look: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
) -> Iterator[tuple[Step, torch.Tensor, torch.Tensor]]:
    """Each step, what the model said at it, and the delta [B,3,H,W] so far of the highest objective, row by
    row, the first of several. look: delta -> (output, objective [B]), for the last point, at which nobody has
    looked; without a gradient."""
    best: torch.Tensor | None = None
    for step in steps:
        output, value = step.output, step.objective
        if output is None or value is None:
            with torch.no_grad():
                output, value = look(step.delta)
        if best is None:
            best, highest = step.delta, value
        better = value > highest
        best = torch.where(better.view(-1, 1, 1, 1), step.delta, best)
        highest = torch.where(better, value, highest)
        yield step, output, best


def passing_sign(values: torch.Tensor) -> torch.Tensor:
    """sign(values) [B,...] forwards; backwards the slope of a soft one, tanh(v / mean |v|) over each row, for
    the sign's own is nought almost everywhere."""
    size = values.detach().abs().flatten(1).mean(1).clamp_min(1e-12).view(-1, *[1] * (values.dim() - 1))
    soft = torch.tanh(values / size)
    return soft + (values.sign() - soft).detach()


def last(steps: Iterator[Step]) -> Step:
    """Run a generator of steps to its end."""
    return deque(steps, maxlen=1).pop()
