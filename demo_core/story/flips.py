"""The smallest eps that turns a picture, without and with each defence: the number that a person understands.

Found by bisection on a ladder of sizes, GRID, so that rows share their attacks. It holds as far as a larger
eps does at least what a smaller one does; where it does not, what is found is one place of several.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass

import torch

from demo_core.attacks import ATTACKS, usual_step_size
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import DEFENSES
from demo_core.moments import step_by_step
from demo_core.story.play import answered, attack
from demo_core.story.run import Run

GRID = (0.0, *(0.25 * 2 ** (half / 2) for half in range(17)))  # in 1/255: 0, and ¼ to 64 by half octaves


@dataclass(frozen=True)
class Flip:
    """Where a row's answer turns. stands: the largest eps tried, in 1/255, under which the right label was
    answered, None where none was; falls: the smallest under which it was
    not, None where it stands at the largest; tried: the right label's probability by eps."""

    key: str
    stands: float | None
    falls: float | None
    tried: Mapping[float, float]


def flips(
    clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None, keys: Iterable[str] | None = None
) -> Iterator[tuple[Flip, ...]]:
    """Those of the rows that are named, or of all, under the run's attack, which knows none of them: those
    found so far, after each step of the work, so that whoever asked can end it there. The right label is the
    run's, `Run.right`."""
    run = run.under(adaptive=False)
    made: dict[float, torch.Tensor] = {0.0: torch.zeros_like(run.pixels)}
    found: tuple[Flip, ...] = ()

    def stands(key: str, eps: float) -> Generator[tuple[Flip, ...], None, tuple[bool, float]]:
        if eps not in made:
            last = yield from step_by_step(attack(clip, _sized(run, eps), surrogate), found)
            assert last.attack_delta is not None  # it came to its end
            made[eps] = last.attack_delta
        defended = answered(clip, run, DEFENSES[key], run.pixels + made[eps])[0]
        yield found
        return run.is_right(defended.logits[0]), defended.probabilities[0, run.right].item()

    for key in DEFENSES if keys is None else keys:
        tried: dict[float, float] = {}
        low, high = -1, len(GRID)  # the last place where it stands, the first where it falls
        while high - low > 1:
            middle = (low + high) // 2
            good, tried[GRID[middle]] = yield from stands(key, GRID[middle])
            low, high = (middle, high) if good else (low, middle)
        between = (GRID[low] if low >= 0 else None, GRID[high] if high < len(GRID) else None)
        found = (*found, Flip(key, *between, dict(sorted(tried.items()))))
        yield found


def _sized(run: Run, eps: float) -> Run:
    """The run under its attack at another eps, in 1/255, with the step size that goes with it."""
    size = usual_step_size(eps) / 255 if ATTACKS[run.settings.attack].rule.takes_step_size else None
    changes = {} if size is None else {"step_size": size}
    return run.under(eps=eps / 255, **changes)
