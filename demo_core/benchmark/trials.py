"""Attacks as they are written on a command line: NAME@EPS or NAME@EPSxSTEPS, with eps in 1/255 and NAME a
row of ATTACKS.

`+predicted` starts an attack from the model's own clean prediction instead of the true label; `+adaptive`
makes it as one who knows each defence it then meets (adaptive.Attacker); `+eot4` averages each of his
gradients over four draws; `+upto` lets him use any smaller size: a picture counts as fallen that fell at a
smaller eps of CURVE_EPS already, or without an attack. Of a patch the number is no eps, but its share of the
side in percent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from demo_core.attacks import ATTACKS, PATCH, usual_step_size

CLEAN = "clean"
# In 1/255, the points of a curve. Records of +upto are made of these: with others, name it otherwise.
CURVE_EPS = (0.25, 0.5, 1, 2, 4, 8, 16, 64)


class BenchmarkError(ValueError):
    """A benchmark cannot run as asked. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Trial:
    """An attack with its budget; eps in 1/255, of a patch in percent of the side."""

    attack: str
    eps: float = 0.0
    steps: int = 10
    predicted: bool = False
    adaptive: bool = False
    samples: int = 1
    upto: bool = False

    @staticmethod
    def read(text: str) -> Trial:
        """Raises BenchmarkError with the way to write it."""
        if text == CLEAN:
            return Trial(CLEAN)
        words, *flags = text.split("+")
        name, _, budget = words.partition("@")
        eps, _, count = budget.partition("x")
        try:
            draws = [int(flag[3:]) for flag in flags if flag.startswith("eot")] or [1]
            others = {flag for flag in flags if not flag.startswith("eot")}
            if name not in ATTACKS or not others <= {"predicted", "adaptive", "upto"} or len(draws) > 1:
                raise ValueError
            steps = 10 if ATTACKS[name].single_step else int(count or 10)
            trial = Trial(name, float(eps), steps, samples=draws[0], **dict.fromkeys(others, True))
            most = 100 if trial.visible else math.inf
            if not (math.isfinite(trial.eps) and 0 <= trial.eps <= most and trial.steps >= 1):
                raise ValueError
        except (ValueError, TypeError):
            raise BenchmarkError(
                f"“{text}” is no attack: write it like pgd@4 or pgd@4x20, with +predicted, +adaptive, +eot4"
                f" or +upto after it; the names are {', '.join(ATTACKS)}."
            ) from None
        if trial.adaptive and not ATTACKS[name].adaptable:
            raise BenchmarkError(f"“{text}” cannot know a defence: leave +adaptive out.")
        if trial.samples != 1 and not trial.adaptive or trial.samples < 1:
            raise BenchmarkError(f"“{text}” averages over no draws: +eot4 goes with +adaptive.")
        if trial.upto and trial.visible:
            raise BenchmarkError(f"“{text}” keeps to no eps: leave +upto out.")
        return trial

    def __str__(self) -> str:
        if self.attack == CLEAN:
            return CLEAN
        steps = "" if self.steps == 10 else f"x{self.steps}"
        flags = "+predicted" * self.predicted + "+adaptive" * self.adaptive
        draws = f"+eot{self.samples}" if self.samples > 1 else ""
        return f"{self.attack}@{self.eps:g}{steps}{flags}{draws}{'+upto' * self.upto}"

    @property
    def below(self) -> Trial | None:
        """The trial in which a picture may have fallen already, which then counts in this one: of the next
        smaller size of a curve, and below the smallest none at all; None where this one stands alone."""
        if not self.upto:
            return None
        smaller = [eps for eps in CURVE_EPS if eps < self.eps]
        return replace(self, eps=smaller[-1]) if smaller else Trial(CLEAN)

    @property
    def all_sizes(self) -> tuple[Trial, ...]:
        """All that have to be made for this one, the weakest first, and itself."""
        return (*(self.below.all_sizes if self.below else ()), self)

    @property
    def transfers(self) -> bool:
        """Whether it is crafted on another model."""
        return self.attack != CLEAN and ATTACKS[self.attack].transfer

    @property
    def targeted(self) -> bool:
        """Whether it aims at a label, so that there must be a second one."""
        return self.attack != CLEAN and ATTACKS[self.attack].targeted

    @property
    def visible(self) -> bool:
        """Whether it is a patch, which keeps to no eps."""
        return self.attack != CLEAN and ATTACKS[self.attack].visible

    @property
    def at_its_eps(self) -> bool:
        """Whether its eps, and no other, is the size that it was made at: not of a patch, nor of what may use
        smaller sizes."""
        return not (self.visible or self.upto)

    @property
    def patch(self) -> float:
        """The share of the side that a patch has."""
        return self.eps / 100 if self.visible else PATCH

    @property
    def step_size(self) -> float:
        """In 1/255."""
        return usual_step_size(self.eps)

    @property
    def title(self) -> str:
        """In words, for a table."""
        if self.attack == CLEAN:
            return "clean"
        row = ATTACKS[self.attack]
        steps = "" if row.single_step else f"-{self.steps}"
        start = " from the predicted label" if self.predicted else ""
        draws = f", {self.samples} draws a step" if self.samples > 1 else ""
        known = f"; knows the defence{draws}" if self.adaptive else ""
        size = f"{self.eps:g} % of the side" if self.visible else f"{'up to ' * self.upto}{self.eps:g}/255"
        return f"{row.title}{steps}, {size}{start}{known}"


def trial_or_none(text: str) -> Trial | None:
    """The attack that records name so; None where the table does not have it, any more or yet."""
    try:
        return Trial.read(text)
    except BenchmarkError:
        return None


def attack_title(text: str) -> str:
    """What records name so, in words; as it stands where the table does not have it."""
    trial = trial_or_none(text)
    return trial.title if trial else text


def default_trials() -> list[Trial]:
    """Every row of ATTACKS at 4/255, with the steps that it needs to be itself; PGD also at 1/255, from the
    predicted label, and through the defence."""
    return [
        Trial(CLEAN),
        *(Trial(key, 100 * PATCH if row.visible else 4, row.usual_steps) for key, row in ATTACKS.items()),
        Trial("pgd", 1),
        Trial("pgd", 1, predicted=True),
        Trial("pgd", 4, predicted=True),
        Trial("pgd", 1, adaptive=True),
        Trial("pgd", 4, adaptive=True),
    ]


# What one word on a command line stands for: what the checks of masked gradients compare, and the points of
# the curves over eps. Both start from the predicted label, which leaks less of the true one.
SUITES: dict[str, tuple[str, ...]] = {
    "masking": (
        CLEAN,
        "noise@4",
        "square@4x200+predicted",
        "transfer@4+predicted",
        "pgd@4",
        *(f"pgd@{eps}+predicted{knows}" for knows in ("", "+adaptive") for eps in (1, 4, 64)),
        *(f"pgd@4x40+predicted{knows}" for knows in ("", "+adaptive")),
    ),
    "curve": (
        CLEAN,
        *(f"pgd@{eps:g}+predicted{knows}+upto" for knows in ("", "+adaptive") for eps in CURVE_EPS),
    ),
}


def read_trials(texts: Iterable[str]) -> list[Trial]:
    """Attacks as a command line lists them, each once; a suite stands for its own. Raises BenchmarkError."""
    named = [attack for text in texts for attack in SUITES.get(text, (text,))]
    return list(dict.fromkeys(map(Trial.read, named)))


def with_smaller(trials: Iterable[Trial]) -> list[Trial]:
    """Trials, each once, behind all that they build on: those of one size alone, then those that may use any
    smaller size, the smallest first."""
    every = dict.fromkeys(size for trial in trials for size in trial.all_sizes)
    return sorted(every, key=lambda trial: trial.upto)
