"""What work on one picture costs, before it begins: passes through the image tower, forward and backward
together, counted before models that stand in. Where a gate may open or not, it is as if it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from demo_core.adaptive import PLAIN, Attacker
from demo_core.attacks import ATTACKS
from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import CONTROL, DEFENSES, VIEWS
from demo_core.defenses.drift import NOISE_STRENGTHS, STUDY_VIEWS
from demo_core.models import MODELS, profile_of
from demo_core.stand_in import counted, label_features, stand_ins
from demo_core.story import flips, play, seeds, suspicion
from demo_core.story.play import seen
from demo_core.story.settings import OFF, Chosen

# Of how far noise and views move the clean and the attacked picture.
LOOKS = 2 * (1 + len(NOISE_STRENGTHS) + len({*VIEWS, *STUDY_VIEWS}))
HALVINGS = len(flips.GRID).bit_length()  # of the sizes of an attack, until the smallest is found


@dataclass(frozen=True)
class Price:
    """Of all that can be done to a picture under some settings. before: those of a finished run that is on
    the stage, whose attack is made anew before anything goes on from it."""

    chosen: Chosen
    before: Chosen | None = None

    def instead(self, **changes: Any) -> Price:
        """With other settings."""
        return replace(self, chosen=replace(self.chosen, **changes))

    @property
    def _tuned(self) -> bool:
        return bool(MODELS[self.chosen.model].original)

    @property
    def look(self) -> int:
        """One look at a picture: itself, with a little noise, and its views."""

        def once(clip: ZeroShotCLIP, pixels: torch.Tensor) -> None:
            seen(clip, pixels, 0, label_features())

        return counted((seen,), once, self._tuned).total

    def _attacker(self, key: str) -> Attacker:
        chosen = self.chosen
        return Attacker(
            stand_ins(self._tuned)[0],
            label_features(),
            DEFENSES[key],
            profile_of(chosen.model),
            ATTACKS[chosen.attack],
            chosen.steps,
            chosen.eot,
            play.MOST_PASSES,
        )

    @property
    def _knows(self) -> bool:
        return self.chosen.adaptive and ATTACKS[self.chosen.attack].adaptable

    def _plain_attack(self) -> int:
        """By one who knows no defence, looked at afterwards."""
        row, him = ATTACKS[self.chosen.attack], self._attacker(CONTROL)
        looks = 0 if row.single_step else him.steps
        return him.made(PLAIN) + self.look + looks * (row.transfer or row.rule.black_box)

    def attack(self) -> int:
        """As the stage shows it."""
        if not self._knows:
            return self._plain_attack()
        him = self._attacker(self.chosen.defense)
        return him.cost + him.steps + self.look

    def again(self) -> int:
        """The attack of the finished run, where only its frames are here."""
        if self.before is None:
            return 0
        then = Price(self.before)
        return then.look + then.attack()

    @property
    def onward(self) -> Price:
        """What goes on from that attack has its settings, but the defences that are chosen now, and whether
        the attacker knows them."""
        if self.before is None:
            return self
        now = {name: getattr(self.chosen, name) for name in ("defense", "beside", "adaptive")}
        return Price(replace(self.before, **now))

    def knowing(self) -> Attacker:
        """Who knows the chosen defence."""
        return self._attacker(self.chosen.defense)

    def defence(self, key: str) -> int:
        """A row, as the stage shows it: each of its steps, and the end, is looked at."""
        him = self._attacker(key)
        return him.answer + max(1, him.row.steps(him.profile)) + 1

    def both(self) -> int:
        """The chosen row and the one beside it."""
        return sum(map(self.defence, filter(None, (self.chosen.defense, self.chosen.second))))

    def run(self) -> int:
        """The picture as it is, the attack, what stands on the stage."""
        return self.look + self.attack() + self.both()

    def lane(self) -> int:
        """A row of the arena on the stage, against whichever attacker."""
        return self.again() + self.onward.attack() + self.both()

    def lanes(self) -> int:
        """Every row on the attacked picture and on the clean one, and its dice once more."""
        total = 0
        for key, row in DEFENSES.items():
            him = self._attacker(key)
            total += (1 + row.rerolls(play.DRAWS)) * him.answer + (him.cost if self._knows else 0)
        return total

    def arena(self) -> int:
        """These, and where the attack on the stage knows a defence, one that knows none."""
        return self.again() + self.onward._plain_attack() + self.onward.lanes()

    def flips(self, keys: Iterable[str]) -> int:
        """The smallest eps of these rows, which share their attacks and meet those of the bare model too."""
        keys = tuple(keys)
        rows = [self._attacker(key) for key in keys]
        sizes = min(len(flips.GRID) - 1, HALVINGS * len(rows))
        answers = sum((1 + (key != CONTROL)) * him.answer for key, him in zip(keys, rows, strict=True))
        return self.again() + sizes * self.onward._plain_attack() + HALVINGS * answers

    def seeds(self) -> int:
        """The run with other seeds."""
        return self.look + seeds.DRAWS * (self.attack() + self.defence(self.chosen.defense))

    def suspicion(self) -> int:
        """The picture as it is before all tests, and once more after JPEG."""
        tests = sum(
            counted((str(signal),), signal, self._tuned).total
            for _, signal in suspicion.tests_of(profile_of(self.chosen.model))
        )
        return 2 * self.look + self.defence(self.chosen.defense) + tests


WORKS: Mapping[str, Callable[[Price], int]] = {
    "run": Price.run,
    "lane": Price.lane,
    "arena": Price.arena,
    "attack and arena": lambda price: price.look + price.attack() + price.lanes(),
    "flip": lambda price: price.flips(dict.fromkeys((CONTROL, price.chosen.defense))),
    "flips": lambda price: price.flips(DEFENSES),
    "defence": lambda price: price.again() + price.both(),
    "control": lambda price: price.look + price.both(),
    "views": lambda price: price.again() + LOOKS,
    "look": lambda price: LOOKS,
    "seeds": Price.seeds,
    "suspicion": Price.suspicion,
}
# What may be chosen in place of what takes too long, by what it is called, the least first.
LESS: Mapping[str, Mapping[str, Any]] = {
    "unknowing": {"adaptive": False},
    "alone": {"beside": OFF},
    "defence": {"defense": CONTROL, "beside": OFF},
}


def passes_of(work: str, price: Price) -> int:
    """About how many passes a work of WORKS takes."""
    return WORKS[work](price)


def steps_that_fit(work: str, price: Price, passes: float) -> int:
    """The most steps of the attack with which a work takes no more than so many passes; 0 where one is too
    many."""
    low, high = 0, price.chosen.steps + 1  # it fits, it does not
    while high - low > 1:
        middle = (low + high) // 2
        fits = passes_of(work, price.instead(steps=middle)) <= passes
        low, high = (middle, high) if fits else (low, middle)
    return low


def what_fits(work: str, price: Price, passes: float) -> int | str | None:
    """What to choose so that a work takes no more than so many passes: at most so many steps of the attack,
    or the first of LESS that is enough; None where none is."""
    if steps := steps_that_fit(work, price, passes):
        return steps
    return next(
        (name for name, less in LESS.items() if passes_of(work, price.instead(**less)) <= passes), None
    )
