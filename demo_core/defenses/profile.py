"""A model's profile: how it is defended by default, and how rows of the table are set on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from demo_core.counterattack import TAU, Budget, TTCConfig

VIEW_DRIFT = "view_drift"
ENGAGED = "engaged"  # the name of the signal that says which pictures were counterattacked


@dataclass(frozen=True)
class DOCConfig:
    """The settings of DOC (see `doc`). eps, step_size and steps are its paper's; the rest stands in a
    supplement that is not public: lam, the weight of the orthogonal direction; mu, the momentum; gamma and
    threshold, slope and middle of the soft gate over tau_hat; copies, the noisy copies of tau_hat. Here they
    are set by hand; the embedded models' are chosen on training pictures (`python -m
    demo_core.embedded.calibrate`) and stand in their profiles.
    """

    eps: float = 4 / 255
    step_size: float = 3 / 255
    steps: int = 4
    lam: float = 0.5
    mu: float = 0.9
    gamma: float = 500.0
    threshold: float = 0.01
    copies: int = 2


@dataclass(frozen=True)
class MACConfig:
    """MAC's settings: the counterattack's budget, and middle and width of the soft gate over the corruption
    degree."""

    budget: Budget = Budget(eps=8 / 255, step_size=2 / 255, steps=4)
    middle: float = 0.7
    width: float = 0.01


@dataclass(frozen=True)
class Profile:
    """A model's default defence. The defaults here are the paper's.

    gate: TAU (engage where it is below the threshold) or VIEW_DRIFT (engage where it is above). threshold: of
    that signal. budget: the counterattack's. aim: names of VIEWS; the counterattack pushes the mean embedding
    of the picture and these views of it, (): of the picture alone. looks: classify a counterattacked picture
    by the probabilities averaged over it and the first so many of LOOKS at it; 0: by it alone. auc: how well
    each signal told attacked from clean pictures where this was calibrated. note: where the numbers come
    from, in words for the screen. doc: how DOC, another row of the table, is set on this model.
    """

    gate: str = TAU
    threshold: float = TTCConfig().tau_threshold
    budget: Budget = Budget()
    aim: tuple[str, ...] = ()
    looks: int = 0
    auc: dict[str, float] = field(default_factory=dict)
    note: str = "The paper’s own rule and values."
    doc: DOCConfig = DOCConfig()

    @property
    def noise_eps(self) -> float:
        """The size of the noise that the counterattack starts from. Under the tau gate it is also the probe,
        so it is the noise that tau is defined with (the paper's), whatever the budget."""
        return TTCConfig().eps if self.gate == TAU else self.budget.eps

    def engages(self, signal: torch.Tensor) -> torch.Tensor:
        """[B] bool: does this signal [B] call for the counterattack?"""
        return signal < self.threshold if self.gate == TAU else signal > self.threshold

    @staticmethod
    def read(path: Path) -> Profile:
        fields = json.loads(path.read_text())
        return Profile(
            **{
                **fields,
                "budget": Budget(**fields["budget"]),
                "aim": tuple(fields["aim"]),
                "doc": DOCConfig(**fields["doc"]),
            }
        )

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")
