"""DEFENSES, the table that everything else iterates over: to add a defence is to add a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from demo_core.counterattack import TAU, TTCConfig
from demo_core.defenses import own, published
from demo_core.defenses.profile import VIEW_DRIFT, DOCConfig, MACConfig, Profile
from demo_core.moments import Defending

# (clip, pixels [B,3,H,W], text [K,D], dice) -> a generator of moments that returns Defended
Defence = Callable[..., Defending]


@dataclass(frozen=True)
class Rule:
    """Where a defence draws the line on a picture's drift: under noise of `noise`/255, or over the view
    called `view` (VIEW_DRIFT: the mean over VIEWS); below: the pictures that drift less are the suspects,
    else those that drift more."""

    value: float
    noise: float | None = None
    view: str | None = None
    below: bool = False


MAC_VIEW = "random view of MAC"


@dataclass(frozen=True)
class Defense:
    """A row of the table.

    run: the defence, a Defence that takes its settings as `config` where `config` gives some; help: one
    sentence for the screen; config: the settings that it runs under on a model with this profile; steps: how
    many steps of a counterattack it takes under them; rule: what it decides by, where it decides by a drift;
    surrogates: what else than `run` an attacker may differentiate to fool it; departs: how it is not what its
    paper measured, where it is not.
    """

    title: str
    run: Defence
    help: str
    config: Callable[[Profile], Any] = lambda profile: None
    steps: Callable[[Profile], int] = lambda profile: 0
    rule: Callable[[Profile], Rule | None] = lambda profile: None
    surrogates: tuple[Defence, ...] = ()
    departs: str = ""

    def on(self, profile: Profile) -> Defence:
        """The defence as it runs on a model with this profile."""
        return self._set(self.run, profile)

    def surrogates_on(self, profile: Profile) -> tuple[Defence, ...]:
        """Its surrogates under the same settings."""
        return tuple(self._set(surrogate, profile) for surrogate in self.surrogates)

    def _set(self, run: Defence, profile: Profile) -> Defence:
        config = self.config(profile)
        return run if config is None else partial(run, config=config)


def _default_rule(profile: Profile) -> Rule:
    if profile.gate == TAU:
        return Rule(profile.threshold, noise=TTCConfig().eps * 255, below=True)
    return Rule(profile.threshold, view=VIEW_DRIFT)


DEFENSES: dict[str, Defense] = {
    "none": Defense("None", published.none, "The bare model."),
    "rn": Defense(
        "Random noise",
        published.random_noise,
        "A little noise, a control: it washes out the weakest attacks only.",
    ),
    "tte": Defense("TTE", published.tte, "The prediction averaged over flips and crops."),
    "anti_adversary": Defense(
        "Anti-adversary",
        published.anti_adversary,
        "Two steps that make the first guess more certain.",
        steps=lambda profile: 2,
        surrogates=(partial(published.anti_adversary, unroll=True),),
        departs="2 steps of 2/255 within 4/255; its authors take steps of 0.15 without a bound",
    ),
    "hedge": Defense(
        "Hedge",
        published.hedge,
        "A few steps away from every label at once.",
        steps=lambda profile: 4,
        departs="4 steps of 2/255 within 4/255; its authors take 20 of 4/255 within 8/255",
    ),
    "ttc": Defense(
        "TTC",
        published.ttc,
        "The paper’s counterattack, with the paper’s values.",
        config=lambda profile: TTCConfig(),
        steps=lambda profile: TTCConfig().steps,
        rule=lambda profile: Rule(TTCConfig().tau_threshold, noise=TTCConfig().eps * 255, below=True),
        surrogates=(partial(published.ttc, unroll=True),),
    ),
    "doc": Defense(
        "DOC",
        published.doc,
        "A counterattack with a random orthogonal part and momentum, softly gated.",
        config=lambda profile: profile.doc,
        steps=lambda profile: profile.doc.steps,
        # a cosine of 1 - t between unit vectors is a distance of (2 t)^.5
        rule=lambda profile: Rule(
            (2 * profile.doc.threshold) ** 0.5, noise=profile.doc.eps * 255, below=True
        ),
        departs="lambda, mu, gamma and tau are not its paper’s, which does not print them",
    ),
    "mac": Defense(
        "MAC",
        published.mac,
        "Counterattacks on two views, weighted by how much a view moves the embedding.",
        config=lambda profile: MACConfig(),
        steps=lambda profile: MACConfig().budget.steps,
        rule=lambda profile: Rule(MACConfig().middle, view=MAC_VIEW),
    ),
    "default": Defense(
        "Ours",
        own.default,
        "Where small views disagree, a counterattack, judged over several looks.",
        config=lambda profile: replace(profile, auc={}, note="", doc=DOCConfig()),
        steps=lambda profile: profile.budget.steps,
        rule=_default_rule,
        surrogates=(partial(own.default, unroll=True), own.never_engaged),
    ),
}


def in_order(keys: Iterable[str]) -> list[str]:
    """Keys of defences in the order of the table, then those that it does not have."""
    keys = list(dict.fromkeys(keys))
    return [key for key in DEFENSES if key in keys] + [key for key in keys if key not in DEFENSES]


def title_of(key: str) -> str:
    """A defence's title, or its key where the table does not have it."""
    return DEFENSES[key].title if key in DEFENSES else key
