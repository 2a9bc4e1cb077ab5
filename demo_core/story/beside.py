"""Two rows of DEFENSES on the very same picture: the first, and then the second beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from demo_core.clip import ZeroShotCLIP
from demo_core.story.play import attack, defend
from demo_core.story.run import Run
from demo_core.story.settings import OFF


def both(clip: ZeroShotCLIP, run: Run, *, control: bool = False) -> Iterator[Run]:
    """The first row on the attacked picture, or with `control` on the clean one, as `defend` has it; then the
    second, where one is chosen."""
    for defended in defend(clip, run, control=control):
        yield defended
        run = defended
    yield from second(clip, run)


def second(clip: ZeroShotCLIP, run: Run) -> Iterator[Run]:
    """The second row on the very picture that the first has met: the same run each time, with a snapshot of
    the other row's beside it. Nothing where no second is chosen."""
    key = run.settings.second
    if key is None:
        return
    through = run.settings.defense if run.settings.knows_defence and not run.control else None
    other = replace(run.under(defense=key, beside=OFF), through=through)
    for found in defend(clip, other, control=run.control):
        yield replace(run, beside=found)


def whole(
    clip: ZeroShotCLIP, run: Run, surrogate: ZeroShotCLIP | None = None, *, control: bool = False
) -> Iterator[Run]:
    """The attack, unless this is the control, and then the defence, or both."""
    if not control:
        for attacked in attack(clip, run, surrogate):
            yield attacked
            run = attacked
    yield from both(clip, run, control=control)
