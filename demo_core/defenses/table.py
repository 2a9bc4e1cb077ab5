"""DEFENSES, the table that everything else iterates over: to add a defence is to add a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from demo_core.ascent import Budget, Dice
from demo_core.clip import ZeroShotCLIP
from demo_core.counterattack import Gate, TTCConfig
from demo_core.defenses import own, own_shift, published
from demo_core.defenses.doc import doc, doc_signal
from demo_core.defenses.lowpass import CSRConfig, LowPassConfig, csr, csr_signal, low_pass
from demo_core.defenses.mac import MACConfig, mac, mac_signal
from demo_core.defenses.padding import PaddingConfig, padding, padding_signal
from demo_core.defenses.profile import Profile
from demo_core.defenses.shifts import AGCConfig, DBDConfig, agc, agreement, dbd, dbd_ungated
from demo_core.defenses.smoothing import SmoothingConfig, smoothed
from demo_core.defenses.subspace import TVSSConfig, tvss
from demo_core.moments import Defending, exhausted

# (clip, pixels [B,3,H,W], text [K,D], dice) -> a generator of moments that returns Defended
Defence = Callable[..., Defending]
Signal = Callable[..., torch.Tensor]  # (clip, pixels [B,3,H,W], dice) -> [B]


@dataclass(frozen=True)
class Defense:
    """A row of the table.

    run: the defence, a Defence that takes its settings as `config` where `config` gives some; help: one
    sentence for the screen; config: the settings that it runs under on a model with this profile: with a
    `gate` where it decides whether it acts, and a `budget` where it takes steps, or a Budget itself;
    signal: what its gate reads, a Signal that takes `config` too, differentiable, for an attacker who aims
    at it; ungated: what answers for a picture that the gate lets pass, where that is
    not the bare model; surrogates: what else than `run` an attacker may differentiate to fool it; exact:
    it draws nothing, so that two answers to one picture are the same; shifts: it moves embeddings, and no
    pixel; departs: how it is not what its paper measured, where it is not; source: its paper, empty where it
    has none.
    """

    title: str
    run: Defence
    help: str
    config: Callable[[Profile], Any] = lambda profile: None
    signal: Signal | None = None
    ungated: Defence | None = None
    surrogates: tuple[Defence, ...] = ()
    exact: bool = False
    shifts: bool = False
    departs: str = ""
    source: str = ""

    def gate(self, profile: Profile) -> Gate | None:
        """What it decides by, if it decides."""
        return getattr(self.config(profile), "gate", None)

    def budget(self, profile: Profile) -> Budget | None:
        """What its counterattack may spend, where it takes steps."""
        config = self.config(profile)
        return config if isinstance(config, Budget) else getattr(config, "budget", None)

    def steps(self, profile: Profile) -> int:
        """How many steps its counterattack takes."""
        budget = self.budget(profile)
        return budget.steps if budget else 0

    def on(self, profile: Profile) -> Defence:
        """The defence as it runs on a model with this profile."""
        return self._set(self.run, profile)

    def surrogates_on(self, profile: Profile) -> tuple[Defence, ...]:
        """Its surrogates under the same settings."""
        return tuple(self._set(surrogate, profile) for surrogate in self.surrogates)

    def ungated_on(self, profile: Profile) -> Defence:
        """What answers for a picture that its gate lets pass, under the same settings."""
        return self._set(self.ungated, profile) if self.ungated else published.none

    def signal_on(self, profile: Profile) -> Signal | None:
        """What its gate reads, under the same settings."""
        return partial(self.signal, config=self.config(profile)) if self.signal else None

    def rerolls(self, most: int) -> int:
        """How many answers to one picture tell what it says: one where it draws nothing."""
        return 1 if self.exact else most

    def rolled(
        self,
        clip: ZeroShotCLIP,
        pixels: torch.Tensor,
        text: torch.Tensor,
        profile: Profile,
        roll: Callable[[int], Dice],
        most: int,
    ) -> Iterator[torch.Tensor]:
        """Its answers to the same pictures on other dice, logits [B,K], one for each re-roll 0, 1 ... of at
        most so many: one draw misjudges a defence that draws. roll: the dice of a re-roll."""
        for reroll in range(self.rerolls(most)):
            with torch.no_grad():
                logits = exhausted(self.on(profile)(clip, pixels, text, roll(reroll))).logits
            yield logits

    def _set(self, run: Defence, profile: Profile) -> Defence:
        config = self.config(profile)
        return run if config is None else partial(run, config=config)


CONTROL = "none"  # the bare model's row, which is no defence
DEFENSES: dict[str, Defense] = {
    CONTROL: Defense("None", published.none, "The bare model.", exact=True),
    "rn": Defense(
        "Random noise",
        published.random_noise,
        "A little noise, a control: it washes out the weakest attacks only.",
    ),
    "low_pass": Defense(
        "Low-pass",
        low_pass,
        "The picture blurred a little, a control: the cheapest defence there is.",
        config=lambda profile: LowPassConfig(),
        exact=True,
        departs="its papers blur in several ways; this is CSR’s mask",
    ),
    "padding": Defense(
        "Padding",
        padding,
        "Where a black border turns the embedding far, the padded picture is judged.",
        config=lambda profile: PaddingConfig(),
        signal=padding_signal,
        exact=True,
        departs="TTP’s gate with its control; TTP also trains the border for one step",
    ),
    "tte": Defense(
        "TTE",
        published.tte,
        "The prediction averaged over flips and crops.",
        exact=True,
        source="Pérez et al., ICCV Workshops 2021",
    ),
    "anti_adversary": Defense(
        "Anti-adversary",
        published.anti_adversary,
        "Two steps that make the first guess more certain.",
        config=lambda profile: published.ANTI_ADVERSARY,
        surrogates=(partial(published.anti_adversary, unroll=True),),
        exact=True,
        departs="2 steps of 2/255 within 4/255; its authors take steps of 0.15 without a bound",
        source="Alfarra et al., AAAI 2022",
    ),
    "hedge": Defense(
        "Hedge",
        published.hedge,
        "A few steps away from every label at once.",
        config=lambda profile: published.HEDGE,
        departs="4 steps of 2/255 within 4/255; its authors take 20 of 4/255 within 8/255",
        source="Wu et al., 2021, arXiv 2106.04938",
    ),
    "ttc": Defense(
        "TTC",
        published.ttc,
        "The paper’s counterattack, with the paper’s values.",
        config=lambda profile: TTCConfig(),
        signal=published.ttc_signal,
        surrogates=(partial(published.ttc, unroll=True),),
        source="Xing et al., CVPR 2025, arXiv 2503.03613",
    ),
    "doc": Defense(
        "DOC",
        doc,
        "A counterattack with a random orthogonal part and momentum, softly gated.",
        config=lambda profile: profile.doc,
        signal=doc_signal,
        departs="lambda, mu, gamma and tau are not its paper’s, which does not print them",
        source="AAAI 2026, arXiv 2511.09064",
    ),
    "mac": Defense(
        "MAC",
        mac,
        "Counterattacks on two views, weighted by how much a view moves the embedding.",
        config=lambda profile: MACConfig(),
        signal=mac_signal,
        source="CVPR 2026, arXiv 2606.06938",
    ),
    "csr": Defense(
        "CSR",
        csr,
        "Where low frequencies tell another story, a few steps towards it.",
        config=lambda profile: CSRConfig(),
        signal=csr_signal,
        exact=True,
        source="ICML 2026, arXiv 2601.19210",
    ),
    "dbd": Defense(
        "DBD",
        dbd,
        "The embedding shifted as 31 views lie from it, further where they agree.",
        config=lambda profile: DBDConfig(),
        signal=agreement,
        ungated=dbd_ungated,
        shifts=True,
        source="ICLR 2026, arXiv 2606.06186",
    ),
    "agc": Defense(
        "AGC",
        agc,
        "The embedding turned towards the mean of 32 slants of the picture, and past it.",
        config=lambda profile: AGCConfig(),
        shifts=True,
        source="arXiv 2605.15584",
    ),
    "tvss": Defense(
        "T-VSS",
        tvss,
        "Crops of the picture answer together, moved along the few directions in which they differ from it.",
        config=lambda profile: TVSSConfig(),
        shifts=True,
        departs="8 crops of half to all of the area, which answer together; its authors take 64, and how"
        " large they are and what answers was not at hand",
        source="arXiv 2606.23132",
    ),
    "smoothing": Defense(
        "Randomised smoothing",
        smoothed,
        "The answer that most of many noisy draws give, and a radius within which, all but surely, most noise"
        " keeps it.",
        config=lambda profile: SmoothingConfig(),
        departs="no model here was trained on noise, as its paper’s were; a majority answers where the paper"
        " abstains",
        source="Cohen et al., ICML 2019, arXiv 1902.02918",
    ),
    "shift": Defense(
        "Ours (feature space)",
        own_shift.shifted,
        "This demo’s own: where a few views agree on the embedding’s place, it is pushed there and past it.",
        config=lambda profile: profile.shift,
        signal=own_shift.unison,
        ungated=own_shift.shifted_calmly,
        exact=True,
        shifts=True,
    ),
    "default": Defense(
        "Ours",
        own.default,
        "This demo’s own: where small views disagree, a counterattack; then several looks answer together.",
        config=lambda profile: profile.own,
        signal=own.own_signal,
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
