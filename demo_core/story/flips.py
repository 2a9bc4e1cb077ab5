"""The smallest eps that turns a picture, without and with each defence: the number that a person understands.

Found by bisection on a ladder of sizes, GRID, so that rows share their attacks. A defence may well fall to a
small attack that its gate lets pass, and stand against a larger one: each row is asked at every size that the
bare model was asked at, and what is found is the smallest size that turned it of all that were tried.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from demo_core.attacks import ATTACKS, usual_step_size
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import CONTROL, DEFENSES
from demo_core.moments import step_by_step
from demo_core.story.play import answered, attack
from demo_core.story.run import Run

GRID = (0.0, *(0.25 * 2 ** (half / 2) for half in range(17)))  # in 1/255: 0, and ¼ to 64 by half octaves


class Answer(NamedTuple):
    """right: whether the right label was answered; share: its probability."""

    right: bool
    share: float


@dataclass(frozen=True)
class Flip:
    """Where a row's answer turns. tried: what it answered, by eps in 1/255, the smallest first."""

    key: str
    tried: Mapping[float, Answer]

    @property
    def falls(self) -> float | None:
        """The smallest eps tried under which the right label was not answered; None where it always was."""
        return next((eps for eps, answer in self.tried.items() if not answer.right), None)

    @property
    def stands(self) -> float | None:
        """The largest one below that, under which it was; None where there is none."""
        falls = math.inf if self.falls is None else self.falls
        return max((eps for eps in self.tried if eps < falls), default=None)

    @property
    def again(self) -> tuple[float, ...]:
        """Those above it under which it was."""
        falls = math.inf if self.falls is None else self.falls
        return tuple(eps for eps, answer in self.tried.items() if answer.right and eps > falls)

    def asked(self, eps: float, answer: Answer) -> Flip:
        """The same, with one more."""
        return replace(self, tried=dict(sorted({**self.tried, eps: answer}.items())))

    @property
    def halfway(self) -> float | None:
        """The eps of the ladder between both, which is asked next; None where nothing lies between."""
        falls = len(GRID) if self.falls is None else GRID.index(self.falls)
        stands = -1 if self.stands is None else GRID.index(self.stands)
        return GRID[(stands + falls) // 2] if falls - stands > 1 else None


def flips(
    clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None, keys: Iterable[str] | None = None
) -> Iterator[tuple[Flip, ...]]:
    """Those of the rows that are named, or of all, under the run's attack, which knows none of them: those
    found so far, after each step of the work, so that whoever asked can end it there. The right label is the
    run's, `Run.right`."""
    run = run.under(adaptive=False)
    made: dict[float, torch.Tensor] = {0.0: torch.zeros_like(run.pixels)}
    found: tuple[Flip, ...] = ()

    def ask(key: str, eps: float) -> Generator[tuple[Flip, ...], None, Answer]:
        if eps not in made:
            last = yield from step_by_step(attack(clip, _sized(run, eps), surrogate), found)
            assert last.attack_delta is not None  # it came to its end
            made[eps] = last.attack_delta
        defended = answered(clip, run, DEFENSES[key], run.pixels + made[eps])[0]
        yield found
        return Answer(run.is_right(defended.logits[0]), defended.probabilities[0, run.right].item())

    for key in DEFENSES if keys is None else keys:
        flip = Flip(key, {})
        for eps in [eps for other in found if other.key == CONTROL for eps in other.tried]:
            flip = flip.asked(eps, (yield from ask(key, eps)))
        while (halfway := flip.halfway) is not None:
            flip = flip.asked(halfway, (yield from ask(key, halfway)))
        found = (*found, flip)
        yield found


def _sized(run: Run, eps: float) -> Run:
    """The run under its attack at another eps, in 1/255, with the step size that goes with it."""
    size = usual_step_size(eps) / 255 if ATTACKS[run.settings.attack].rule.takes_step_size else None
    changes = {} if size is None else {"step_size": size}
    return run.under(eps=eps / 255, **changes)
