"""The same run with other seeds: how often an attack turns the answer, and how often the defence brings it
back. One run may be luck."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from demo_core.clip import ZeroShotCLIP
from demo_core.moments import step_by_step
from demo_core.story.beside import whole
from demo_core.story.run import Run
from demo_core.story.settings import OFF

DRAWS = 8


@dataclass(frozen=True)
class Draw:
    """What came of one seed. attacked, defended: the indices of the answers; turned: whether the attack took
    the right label away (see Run.right), held: whether it is there after the defence; engaged: whether that
    acted."""

    seed: int
    attacked: int
    defended: int
    turned: bool
    held: bool
    engaged: bool

    @staticmethod
    def of(run: Run) -> Draw:
        """Of a run that has come to its end."""
        assert run.attacked is not None and run.defended is not None
        attacked, defended = int(run.attacked.argmax()), int(run.defended.argmax())
        return Draw(
            run.settings.seed,
            attacked,
            defended,
            attacked != run.right,
            defended == run.right,
            bool(run.engaged),
        )


def draws(clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None) -> Iterator[tuple[Draw, ...]]:
    """The run's attack and defence with DRAWS seeds, from its own on, each drawn just as that seed's own run
    is: those that are done, after each step of the work, so that whoever asked can end it there."""
    found: tuple[Draw, ...] = ()
    for seed in range(run.settings.seed, run.settings.seed + DRAWS):
        drawn = run.under(seed=seed % 2**32, beside=OFF)
        found = (*found, Draw.of((yield from step_by_step(whole(clip, drawn, surrogate), found))))
        yield found
