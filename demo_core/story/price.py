"""What work on one picture costs, before it begins: passes through the image tower, forward and backward
together, counted before models that stand in. Where a gate may open or not, it is as if it did."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from demo_core.adaptive import PLAIN, Attacker
from demo_core.attacks import ATTACKS
from demo_core.defenses import DEFENSES, VIEWS
from demo_core.defenses.drift import NOISE_STRENGTHS
from demo_core.models import MODELS, profile_of
from demo_core.stand_in import label_features, stand_ins
from demo_core.story import flips, play, seeds
from demo_core.story.race import CONTROL
from demo_core.story.settings import Chosen

SEEN = 2 + len(VIEWS)  # of one look at a picture: itself, with a little noise, and its views
HALVINGS = len(flips.GRID).bit_length()  # of the sizes of an attack, until the smallest is found


@dataclass(frozen=True)
class Price:
    """Of all that can be done to a picture under some settings."""

    chosen: Chosen

    def _attacker(self, key: str) -> Attacker:
        chosen = self.chosen
        return Attacker(
            stand_ins(bool(MODELS[chosen.model].original))[0],
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
        return him.made(PLAIN) + SEEN + looks * (row.transfer or row.rule.black_box)

    def attack(self) -> int:
        """As the stage shows it."""
        if not self._knows:
            return self._plain_attack()
        him = self._attacker(self.chosen.defense)
        return him.cost + him.steps + SEEN

    def defence(self) -> int:
        """The chosen one, as the stage shows it: each of its steps, and the end, is looked at."""
        him = self._attacker(self.chosen.defense)
        return him.answer + max(1, him.row.steps(him.profile)) + 1

    def both(self) -> int:
        """The chosen one and the one beside it."""
        second = self.chosen.beside
        return self.defence() + (self._attacker(second).answer if second in DEFENSES else 0)

    def run(self) -> int:
        """The picture as it is, the attack, what stands on the stage."""
        return SEEN + self.attack() + self.both()

    def arena(self) -> int:
        """Every row on the attacked picture and on the clean one, and its dice once more."""
        total = self._plain_attack()
        for key, row in DEFENSES.items():
            him = self._attacker(key)
            total += (1 + row.rerolls(play.DRAWS)) * him.answer + (him.cost if self._knows else 0)
        return total

    def flips(self, keys: Iterable[str]) -> int:
        """The smallest eps of these rows, which share their attacks."""
        rows = [self._attacker(key) for key in keys]
        sizes = min(len(flips.GRID) - 1, HALVINGS * len(rows))
        return sizes * self._plain_attack() + HALVINGS * sum(him.answer for him in rows)

    def seeds(self) -> int:
        """The run with other seeds."""
        return SEEN + seeds.DRAWS * (self.attack() + self.defence())

    def suspicion(self) -> int:
        """The picture as it is before all tests, and once more after JPEG."""
        signals = sum(row.exact and row.signal is not None for row in DEFENSES.values())
        return 2 * SEEN + self.defence() + 2 * signals


WORKS: Mapping[str, Callable[[Price], int]] = {
    "run": Price.run,
    "arena": Price.arena,
    "flip": lambda price: price.flips(dict.fromkeys((CONTROL, price.chosen.defense))),
    "flips": lambda price: price.flips(DEFENSES),
    "defence": lambda price: SEEN + price.both(),
    "look": lambda price: 2 * (SEEN + len(NOISE_STRENGTHS)),
    "seeds": Price.seeds,
    "suspicion": Price.suspicion,
}


def passes_of(work: str, chosen: Chosen) -> int:
    """About how many passes a work of WORKS takes under these settings."""
    return WORKS[work](Price(chosen))


def steps_that_fit(work: str, chosen: Chosen, passes: float) -> int:
    """The most steps of the attack with which a work takes no more than so many passes; 0 where one is too
    many."""
    low, high = 0, chosen.steps + 1  # it fits, it does not
    while high - low > 1:
        middle = (low + high) // 2
        fits = passes_of(work, replace(chosen, steps=middle)) <= passes
        low, high = (middle, high) if fits else (low, middle)
    return low
