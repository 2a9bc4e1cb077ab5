"""The arena as a race: which defences stand, under whom, and in which order they come."""

from __future__ import annotations

from dataclasses import dataclass

from demo_core.defenses import CONTROL, DEFENSES
from demo_core.story.flips import Flip
from demo_core.story.play import Bout
from demo_core.story.run import Run


@dataclass(frozen=True)
class Races:
    """Bouts so far on one attacked picture. static: against the attacker who knows no defence; adaptive:
    against the one who knows each; flips: the smallest eps that turns the picture before each row."""

    static: tuple[Bout, ...] = ()
    adaptive: tuple[Bout, ...] = ()
    flips: tuple[Flip, ...] = ()

    @property
    def strongest(self) -> tuple[Bout, ...]:
        """Against the strongest attacker tried."""
        return self.adaptive or self.static

    def met(self, key: str) -> dict[str, Bout]:
        """A row's bouts by the attacker's field, the weaker first."""
        sides = {"static": self.static, "adaptive": self.adaptive}
        return {side: bout for side, bouts in sides.items() for bout in bouts if bout.key == key}

    def at_slider(self, key: str) -> tuple[Flip, ...]:
        """Of the smallest eps, the control's and a row's."""
        return tuple(flip for flip in self.flips if flip.key in (CONTROL, key))

    @property
    def answered(self) -> bool:
        """Whether every row has met the strongest attacker tried."""
        return len(self.strongest) == len(DEFENSES)

    @property
    def finished(self) -> bool:
        """Whether all that roll dice have rolled them again, too."""
        return self.answered and not any(bout.random and bout.rerolls is None for bout in self.strongest)


def stands(run: Run, bout: Bout) -> bool:
    """Whether the right label, or where nobody knows it the clean prediction, is the answer."""
    return run.is_right(bout.attacked)


def keeps(run: Run, bout: Bout) -> bool:
    """Whether the clean picture's answer stays, or is put right."""
    return int(bout.clean.argmax()) in (int(run.clean.argmax()), run.right)


def always(bout: Bout) -> bool:
    """Whether it was right in every draw of its dice, as far as they were rolled again."""
    return bout.rerolls is None or bout.rerolls[0] == bout.rerolls[1]


def ranking(run: Run, races: Races) -> list[str]:
    """The rows that have answered, by what is left standing: first those that have met the strongest attacker
    tried, of these the standing ones, of these those that keep the clean picture's answer, and of these the
    one that finds the right label likeliest."""
    strongest = {bout.key: bout for bout in races.strongest}
    last = {bout.key: bout for bout in (*races.static, *races.adaptive)}

    def place(key: str) -> tuple[bool, bool, bool, float]:
        bout = last[key]
        likely = bout.attacked[run.right].item()
        return key not in strongest, not stands(run, bout), not keeps(run, bout), -likely

    return sorted(last, key=place)


def under_all(run: Run, races: Races, key: str) -> bool:
    """Whether a row stands under every attacker tried."""
    met = races.met(key)
    return bool(met) and all(stands(run, bout) for bout in met.values())


def trusted(run: Run, races: Races) -> list[str]:
    """The defences that stand under every attacker tried in every draw, and keep the clean answer."""
    return [
        bout.key
        for bout in races.strongest
        if bout.key != CONTROL
        and under_all(run, races, bout.key)
        and all(always(found) and keeps(run, found) for found in races.met(bout.key).values())
    ]
