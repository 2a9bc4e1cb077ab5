"""Is a picture attacked? It is looked at as it is, nobody attacks it: what the cheap tests of the table say,
each beside what clean and attacked photographs did in the model's study; how likely that makes an attack; and
what the model calls the picture without a defence, with one, and after JPEG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import TTCConfig
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Gate, Profile, Signal
from demo_core.defenses.drift import CLEAN_PILE, LEVELS, Row, Study
from demo_core.defenses.random_views import jpeg
from demo_core.fit import Fit
from demo_core.pictures import to_pixels
from demo_core.story.play import begin, defend, seen
from demo_core.story.run import Run
from demo_core.story.settings import Settings

NEAR = 0.15  # two drifts are alike that differ by less than this share of the one
QUALITY = 75  # of the JPEG that the picture is tested after
UNDECIDED = (0.25, 0.75)  # between these chances of an attack nothing is said either way
SUSPICIOUS, CALM, UNCLEAR = "suspicious", "calm", "unclear"  # what comes of the test


@dataclass(frozen=True)
class Pile:
    """One signal of the study's pictures of one kind: the rows of its attacks, as many pictures of each, or
    the one of clean pictures."""

    rows: tuple[Row, ...]

    def under(self, value: float) -> float:
        """The share of pictures whose signal is below a value."""
        shares = [np.interp(value, row.quantiles, LEVELS, left=0, right=1) for row in self.rows]
        return float(np.mean(shares))

    def alike(self, value: float) -> float:
        """The share whose signal is about the same."""
        return self.under(value * (1 + NEAR)) - self.under(value * (1 - NEAR))

    def quantile(self, level: float) -> float:
        """The value that this share of the pictures is below."""
        points = sorted({value for row in self.rows for value in row.quantiles})
        return float(np.interp(level, [self.under(point) for point in points], points))


@dataclass(frozen=True)
class Known:
    """What a model's study has of one signal. pictures: how many photographs, all of them clean and attacked;
    auc: the chance that a clean one has more of the signal than an attacked one."""

    pictures: int
    clean: Pile
    attacked: Pile
    auc: float

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks in the words of the study."""
        return tuple(row.pile for row in self.attacked.rows)


def known_of(study: Study | None, signal: str) -> Known | None:
    """None where there is no study, or none of this signal."""
    rows = study.find(signal, encoder=study.probing) if study else {}
    attacked = tuple(row for pile, row in rows.items() if pile != CLEAN_PILE)
    if study is None or CLEAN_PILE not in rows or not attacked:
        return None
    auc = float(np.mean([row.auc for row in attacked if row.auc is not None]))
    return Known(study.pictures, Pile((rows[CLEAN_PILE],)), Pile(attacked), auc)


@dataclass(frozen=True)
class Chance:
    """How likely an attack is where half of all pictures are attacked. clean, attacked: how many of the
    study's pictures of each kind are like this one; middle: the kind that it lies beyond the middle one of,
    to which they are likened then, for beyond it pictures only grow fewer; else empty."""

    clean: float
    attacked: float
    middle: str = ""

    @property
    def share(self) -> float:
        """By the rule of succession, so that it is never nought or one: no further from one half than so
        many pictures can tell, and one half where none is like this one."""
        return (self.attacked + 1) / (self.attacked + self.clean + 2)


def chance_of(known: Known, value: float) -> Chance:
    """What the study's pictures whose signal is about this value were."""
    (low, lower), (high, upper) = sorted(
        ((known.clean.quantile(0.5), "clean"), (known.attacked.quantile(0.5), "attacked"))
    )
    told = min(max(value, low), high)
    middle = lower if value < low else upper if value > high else ""
    clean, attacked = (known.pictures * pile.alike(told) for pile in (known.clean, known.attacked))
    return Chance(clean, attacked, middle)


@dataclass(frozen=True)
class Sign:
    """One test of the picture. gate: where its line is, None where nobody has drawn one; known: what the
    study has of its signal."""

    signal: str
    value: float
    gate: Gate | None
    known: Known | None = None

    @property
    def suspicious(self) -> bool | None:
        """Whether it lies on the suspects' side of the line."""
        return bool(self.gate.engages(torch.tensor(self.value))) if self.gate else None

    @property
    def on_its_side(self) -> tuple[float, float] | None:
        """The shares of the study's clean and attacked pictures that lie on the same side of the line; None
        where nobody knows."""
        if self.gate is None or self.known is None:
            return None
        clean, attacked = (p.under(self.gate.threshold) for p in (self.known.clean, self.known.attacked))
        return (clean, attacked) if self.suspicious == self.gate.below else (1 - clean, 1 - attacked)


@dataclass(frozen=True)
class Stored:
    """The picture stored as JPEG and read again. sign: the deciding test; probabilities [K] of the bare
    model."""

    sign: Sign
    probabilities: torch.Tensor


@dataclass(frozen=True)
class Suspicion:
    """All that is known so far of a picture as it is. run: without any attack, the defence on the picture
    itself; signs: the deciding one first; stored: None until it was looked at."""

    run: Run
    signs: tuple[Sign, ...]
    stored: Stored | None = None

    @property
    def deciding(self) -> Sign:
        """The test of the model's own defence."""
        return self.signs[0]

    @property
    def chance(self) -> Chance | None:
        """Of an attack; None where no study knows."""
        known = self.deciding.known
        return chance_of(known, self.deciding.value) if known else None

    @property
    def state(self) -> str:
        """SUSPICIOUS or CALM, as the test says; UNCLEAR where the study does not back it."""
        low, high = UNDECIDED
        chance, suspicious = self.chance, bool(self.deciding.suspicious)
        if chance and not (chance.share >= high if suspicious else chance.share <= low):
            return UNCLEAR
        return SUSPICIOUS if suspicious else CALM


def _own_signs(run: Run, study: Study | None) -> tuple[Sign, ...]:
    """The tests whose signals a run begins with, the one that decides for its model first."""
    own = run.profile.own.gate
    gates = {TAU: TTCConfig().gate, VIEW_DRIFT: None, own.signal: own}
    names = sorted(gates, key=lambda name: name != own.signal)
    return tuple(Sign(name, run.clean_signals[name], gates[name], known_of(study, name)) for name in names)


def tests_of(profile: Profile) -> Iterator[tuple[Gate, Signal]]:
    """The tests of the table that draw nothing at random, on a model with this profile."""
    for row in DEFENSES.values():
        gate, signal = row.gate(profile), row.signal_on(profile)
        if row.exact and gate and signal:
            yield gate, signal


def _table_signs(clip: ZeroShotCLIP, run: Run, study: Study | None) -> Iterator[Sign]:
    for gate, signal in tests_of(run.profile):
        with torch.no_grad():
            value = signal(clip, run.pixels.to(clip.device)).item()
        yield Sign(gate.signal, value, gate, known_of(study, gate.signal))


@torch.no_grad()
def _stored(clip: ZeroShotCLIP, run: Run, study: Study | None) -> Stored:
    """All of the photo is stored, as a messenger or a web site would do it, not the model's small grid."""
    pixels = to_pixels(jpeg(run.photo[None], QUALITY)[0], clip.image_size).to(clip.device)
    text = run.text.to(clip.device)
    features, signals = seen(clip, pixels, run.settings.seed, text)
    own = run.profile.own.gate
    sign = Sign(own.signal, signals[own.signal], own, known_of(study, own.signal))
    return Stored(sign, clip.logits(features, text).softmax(-1)[0].cpu())


def suspect(
    clip: ZeroShotCLIP,
    photo: torch.Tensor,
    settings: Settings,
    profile: Profile,
    study: Study | None = None,
    fit: Fit | None = None,
) -> Iterator[Suspicion]:
    """What is known of a photo [3,P,P] as it is, after each piece of the work, so that whoever asked can end
    it there: the deciding test, the others, the chosen defence step by step, and the picture after JPEG."""
    run = begin(clip, photo, settings, profile, fit)
    found = Suspicion(run, _own_signs(run, study))
    yield found
    for sign in _table_signs(clip, run, study):
        found = replace(found, signs=(*found.signs, sign))
        yield found
    for defended in defend(clip, run, control=True):
        found = replace(found, run=defended)
        yield found
    yield replace(found, stored=_stored(clip, run, study))
