"""Which gates of the table can be trusted on a model: each one's threshold, as published or as the model's
profile sets it, before what clean and attacked photographs of the model's study did."""

from __future__ import annotations

from dataclasses import dataclass

from demo_core.counterattack import Gate
from demo_core.defenses import DEFENSES, Profile
from demo_core.defenses.drift import Study
from demo_core.intervals import wilson
from demo_core.story.suspicion import Known, Pile, known_of

QUICK, ENOUGH = 4, 10  # photographs that tell a little soon, and from which on a judgement stands by itself
FEW, MOST = 0.1, 0.9  # clean pictures that a good gate opens for at most, attacked ones at least


@dataclass(frozen=True)
class Verdict:
    """One gate on one model. rows: keys of DEFENSES that it decides for; own: its threshold is the model's
    profile's, not the table's; opens: the share of clean pictures that it acts on; caught: of those under
    each attack of the study, by the attack's words."""

    rows: tuple[str, ...]
    gate: Gate
    known: Known
    own: bool
    opens: float
    caught: dict[str, float]

    @property
    def trusted(self) -> bool:
        """Whether it leaves nearly all clean pictures alone, and nearly no attacked one."""
        return self.opens <= FEW and min(self.caught.values()) >= MOST

    @property
    def tells(self) -> bool:
        """Whether it tells anything: it opens for more of the attacked pictures of each kind than of the
        clean ones, by half of all."""
        return min(self.caught.values()) - self.opens >= 0.5


def interval(share: float, pictures: int) -> tuple[float, float]:
    """Both ends of the 95 % interval of a share of so many pictures, taken as a whole number of them."""
    low, high = wilson(round(share * pictures) / pictures, pictures)
    return float(low), float(high)


def _opened(gate: Gate, pile: Pile) -> float:
    below = pile.under(gate.threshold)
    return below if gate.below else 1 - below


def verdicts(study: Study, profile: Profile) -> tuple[Verdict, ...]:
    """A verdict for each gate of the table whose signal the study has."""
    rows_of: dict[tuple[str, float, bool], list[str]] = {}
    for key, row in DEFENSES.items():
        if gate := row.gate(profile):
            rows_of.setdefault((gate.signal, gate.threshold, gate.below), []).append(key)
    found = []
    for keys in rows_of.values():
        gate = DEFENSES[keys[0]].gate(profile)
        assert gate is not None  # it is by its gate that the row is here
        if (known := known_of(study, gate.signal)) is None:
            continue
        caught = {row.pile: _opened(gate, Pile((row,))) for row in known.attacked.rows}
        own = gate != DEFENSES[keys[0]].gate(Profile())
        found.append(Verdict(tuple(keys), gate, known, own, _opened(gate, known.clean), caught))
    return tuple(found)
