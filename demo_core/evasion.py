"""An attacker who keeps a defence's gate shut: he fools what answers when it is, and stays on the clean side
of its threshold, by its signal, which he can differentiate (adaptive attacks on detectors: Carlini & Wagner,
AISec 2017; Tramèr et al., NeurIPS 2020)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from demo_core.ascent import Step, with_best
from demo_core.attacks import Attack, Classify
from demo_core.counterattack import Gate

MARGIN = 0.05  # how far he stays from a threshold, as a share of it: the signal may be another on other draws
SHUT = 3.0  # slopes from the middle of a soft gate, where less than 5 % of the counterattack is added
FAR = 1000.0  # lower than any objective of a point that no gate suspects


def beyond(gate: Gate, values: torch.Tensor) -> torch.Tensor:
    """How far a signal [B] is on the suspects' side of the threshold, as a share of it, with a margin on the
    clean side; not over 0 where the gate is safely shut. Differentiable."""
    size = max(abs(gate.threshold), 1e-6)
    room = max(MARGIN * size, SHUT / gate.slope if gate.slope else 0.0)
    further = gate.threshold - values if gate.below else values - gate.threshold
    return (further + room) / size


class Unsuspected:
    """An attack on the answer of an open way, `ungated`, that keeps the signal clean. suspicion: pixels
    [B,3,H,W] -> [B], over 0 where the gate would act.

    The two aims take turns, picture by picture: where a point is suspected, what is raised is minus the
    suspicion, else the attack's own objective. So there is no weight between them to be chosen, and any
    suspected point is worse than any that is not.
    """

    def __init__(self, attack: Attack, ungated: Classify, suspicion: Callable[[torch.Tensor], torch.Tensor]):
        self.ungated, self.suspicion, self._own = ungated, suspicion, attack.objective
        self.attack = replace(attack, objective=self.objective)

    def classify(self, pixels: torch.Tensor) -> torch.Tensor:
        """The ungated logits [B,K]; the suspicion of the same pixels is kept for the objective."""
        self._suspicion = self.suspicion(pixels)
        return self.ungated(pixels)

    def objective(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Of the pixels that were classified last [B]."""
        return torch.where(self._suspicion > 0, -FAR - self._suspicion, self._own(logits, labels))

    def best(self, steps: Iterator[Step], pixels: torch.Tensor, labels: torch.Tensor) -> Iterator[Step]:
        """The steps of his attack; the last holds the best point of the way, itself included: where the two
        aims take turns, the end may be a bad moment."""

        def look(delta: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            logits = self.classify(pixels + delta)
            return logits, self.objective(logits, labels)

        for step, _, best in with_best(steps, look):
            yield replace(step, delta=best) if step.output is None else step
