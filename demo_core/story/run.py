"""One picture's run: an immutable snapshot of all that is known so far, for whoever shows, tells or keeps
it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from demo_core.attacks import ATTACKS
from demo_core.counterattack import relative_drift
from demo_core.defenses import DEFENSES, TAU, VIEW_DRIFT, Defense, Gate, Profile
from demo_core.moments import Measured
from demo_core.story.settings import Settings

UNSURE = 0.5  # below this probability an answer is unsure
UNMOVED = 1e-4  # of the pixel range; a pixel that moves less, a fortieth of a grey level, has not moved
SELDOM = 0.5  # below this chance it is likelier that no label fits than that one does


def signal_of(key: str, profile: Profile) -> str | None:
    """Which of both signals the gate of a row of DEFENSES decides by; None where by another, which is known
    only when the row runs, or where it has no gate."""
    gate = DEFENSES[key].gate(profile)
    return gate.signal if gate and gate.signal in (TAU, VIEW_DRIFT) else None


@dataclass(frozen=True)
class Nudge:
    """One small change of a picture and what came of it. name: of VIEWS, or NOISE; drift: of the embedding,
    in parts of its length; label: the index of the likeliest then."""

    name: str
    drift: float
    label: int


NOISE = "a little noise"


@dataclass(frozen=True)
class Signals:
    """Both stability signals of one picture, whichever of them gates: tau under the paper's noise, and the
    drift under the exact views. nudges: each of those small changes, the noise first."""

    tau: float
    view_drift: float
    nudges: tuple[Nudge, ...] = ()

    def __getitem__(self, gate: str) -> float:
        return {TAU: self.tau, VIEW_DRIFT: self.view_drift}[gate]


@dataclass(frozen=True)
class Reading:
    """What the gate of the defence that runs has measured. weight: how much of the counterattack the picture
    gets, 1 or 0 where the gate is a hard one."""

    signal: str
    value: float
    weight: float

    @staticmethod
    def of(moment: Measured) -> Reading:
        """Of one picture's gate."""
        return Reading(moment.signal, moment.value.item(), moment.weight.item())


@dataclass(frozen=True)
class Moment:
    """The embedding after one step: features [1,D], probabilities [K] of the bare model; delta [1,3,S,S],
    from the picture that the step's act began with; milliseconds that the step took."""

    delta: torch.Tensor
    features: torch.Tensor
    probabilities: torch.Tensor
    milliseconds: float = 0.0


@dataclass(frozen=True)
class Run:
    """Everything known so far about one picture under one attack.

    All tensors lie in the machine’s memory, wherever the model computes. photo [3,P,P]; pixels [1,3,S,S];
    text [K,D]; start, the clean picture; attack and defence, a Moment for
    each step, the first before any gradient. attacked_signals: None until the attack has finished. control:
    the defence was run on the clean picture. reading: what its gate measured, where it has one; engaged:
    whether it acts, None until it has begun. defended: the defended answer [K], and defence_delta what the
    defence added in the end, which is the weighted sum of its steps. looks: at how many pictures the
    defence looked for its answer, None where at one, as it was in the end. fit: the chance that any of the
    labels fits the clean picture; None where the model was not calibrated for it. judgement: what the
    visitor says of whether the model's first answer is right, where nobody else knows. beside: the second
    row's run from the same picture, None before it has begun; through: there, the row that the attack was
    made through where the attacker knew it.
    """

    settings: Settings
    profile: Profile
    photo: torch.Tensor
    pixels: torch.Tensor
    text: torch.Tensor
    start: Moment
    clean_signals: Signals
    attack: tuple[Moment, ...] = ()
    attacked_signals: Signals | None = None
    control: bool = False
    reading: Reading | None = None
    engaged: bool | None = None
    defence: tuple[Moment, ...] = ()
    final: Moment | None = None
    defended: torch.Tensor | None = None
    fit: float | None = None
    looks: int | None = None
    judgement: bool | None = None
    beside: Run | None = None
    through: str | None = None

    @property
    def defense(self) -> Defense:
        """The row of DEFENSES that is watched."""
        return DEFENSES[self.settings.defense]

    @property
    def defence_steps(self) -> int:
        """How many steps its counterattack takes."""
        return self.defense.steps(self.profile)

    @property
    def gate(self) -> Gate | None:
        """What it decides by, where it decides."""
        return self.defense.gate(self.profile)

    @property
    def signal(self) -> str | None:
        """Which of both signals its gate decides by, if any."""
        return signal_of(self.settings.defense, self.profile)

    @property
    def attack_steps(self) -> int:
        return 1 if ATTACKS[self.settings.attack].single_step else self.settings.steps

    @property
    def attack_finished(self) -> bool:
        return self.attacked_signals is not None

    @property
    def clean(self) -> torch.Tensor:
        """Probabilities [K] of the clean picture."""
        return self.start.probabilities

    @property
    def attacked(self) -> torch.Tensor | None:
        """Probabilities [K] of the attacked picture, once the attack has finished."""
        return self.attack[-1].probabilities if self.attack_finished else None

    @property
    def attack_delta(self) -> torch.Tensor | None:
        """The perturbation so far."""
        return self.attack[-1].delta if self.attack else None

    @property
    def before_defence(self) -> Moment:
        """What the defence is given: the attacked picture, or the clean one."""
        return self.start if self.control or not self.attack else self.attack[-1]

    @property
    def tested(self) -> Signals:
        """The signals of what the defence is given."""
        signals = None if self.control else self.attacked_signals
        return signals or self.clean_signals

    @property
    def counterattack(self) -> tuple[Moment, ...]:
        """The steps of the defence, and what it made of them in the end."""
        return (*self.defence, *filter(None, [self.final]))

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All so far, act by act: the picture, the attack, the test, the counterattack."""
        tested = [self.before_defence] if self.attack_finished or self.control else []
        return (self.start, *(() if self.control else self.attack), *tested, *self.counterattack)

    @property
    def defence_delta(self) -> torch.Tensor | None:
        """What the defence has added so far."""
        moment = self.final or (self.defence[-1] if self.defence else None)
        return moment.delta if moment else None if self.engaged is None else torch.zeros_like(self.pixels)

    @property
    def answered(self) -> bool:
        """Whether all rows that were asked for have answered."""
        return self.defended is not None and (
            self.settings.second is None or (self.beside is not None and self.beside.answered)
        )

    @property
    def milliseconds(self) -> tuple[float, ...]:
        """Of the steps of the act that is on."""
        return tuple(m.milliseconds for m in (self.attack if self.engaged is None else self.defence))

    def drift(self, moment: Moment) -> float:
        """How far the embedding is from the clean picture's, relative."""
        return relative_drift(moment.features, self.start.features).item()

    def push(self, moment: Moment) -> float:
        """How far it is from where the defence began."""
        return relative_drift(moment.features, self.before_defence.features).item()

    @property
    def attack_drift(self) -> tuple[float, ...]:
        return tuple(map(self.drift, self.attack))

    @property
    def defence_drift(self) -> tuple[float, ...]:
        return tuple(map(self.drift, self.defence))

    @property
    def right(self) -> int:
        """The index of the right label where it is known, else of the clean prediction."""
        return int(self.clean.argmax()) if self.settings.truth is None else int(self.settings.truth)

    def is_right(self, answer: torch.Tensor) -> bool:
        """Whether the likeliest of logits or probabilities [K] is the right label."""
        return int(answer.argmax()) == self.right

    @property
    def true_label(self) -> str | None:
        """The label that is known to be right."""
        return None if self.settings.truth is None else self.settings.labels[self.settings.truth]

    @property
    def understood(self) -> bool:
        """Whether the model had the clean picture right, where that is known; else whether nothing says that
        it had not."""
        if self.true_label is not None:
            return self.label(self.clean) == self.true_label
        return not (self.no_label_fits or self.unsure or self.doubted)

    @property
    def asks(self) -> bool:
        """Whether the visitor may say if the first answer is right, and say otherwise again: nothing else
        has shown it."""
        return self.true_label is None or self.judgement is not None

    @property
    def doubted(self) -> bool:
        """Whether the visitor says that the first answer is wrong."""
        return self.judgement is False

    def under(self, **changes: Any) -> Run:
        """The same with other settings."""
        settings: Any = self.settings  # its fields are made from those of Chosen
        return replace(self, settings=replace(settings, **changes))

    def judged(self, right: bool) -> Run:
        """The same, with what the visitor says of the first answer."""
        run = self.under(truth=int(self.clean.argmax()) if right else None)
        return replace(run, judgement=right, beside=self.beside and self.beside.judged(right))

    @property
    def no_label_fits(self) -> bool:
        """Whether it seems that none of the labels describes the clean picture."""
        return self.fit is not None and self.fit < SELDOM

    @property
    def unsure(self) -> bool:
        """Whether the model's first answer is a guess among its labels."""
        return self.clean.max().item() < UNSURE

    def label(self, probabilities: torch.Tensor) -> str:
        return self.settings.labels[int(probabilities.argmax())]


@dataclass(frozen=True)
class Drifts:
    """How far one picture's embedding moves: over NOISE_STRENGTHS, of which tau is one point, over
    STUDY_VIEWS, and the mean over the views that can gate."""

    over_noise: tuple[float, ...]
    over_views: tuple[float, ...]
    view_drift: float
