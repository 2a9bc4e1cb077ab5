"""What a defence says while it works, and what it decides.

A defence is a generator over a batch: it *yields* a moment for everything it does, as it does it, and
*returns* `Defended`. The page watches it step by step, the benchmark exhausts it, and an attacker who knows
it differentiates through what it returns: one description of each defence serves all three. No grad mode is
open while one is suspended, so that it may be gone on with under another, or on another thread.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


@dataclass(frozen=True)
class Measured:
    """A gate has spoken. signal: its name; value [B]: what was measured; weight [B]: how much of the
    counterattack each picture gets, 1 or 0 where the gate is a hard one."""

    signal: str
    value: torch.Tensor
    weight: torch.Tensor


@dataclass(frozen=True)
class Moved:
    """One step of a counterattack is taken, the first being its start. rows [B]: the pictures that it is
    taken for, R of them; delta [R,3,H,W]: from the picture as it was given; features [R,D] of the picture
    with delta, None where nobody had to compute them."""

    rows: torch.Tensor
    delta: torch.Tensor
    features: torch.Tensor | None = None


@dataclass(frozen=True)
class Looked:
    """An answer was averaged over several looks. pixels [N,B,3,H,W]: the pictures looked at; logits
    [N,B,K]."""

    pixels: torch.Tensor
    logits: torch.Tensor


Moment = Measured | Moved | Looked


@dataclass(frozen=True)
class Defended:
    """What a defence made of a batch: pixels [B,3,H,W], the picture classified in the end (the first, where a
    defence averages over several); logits [B,K], whose softmax is its answer; signals: name -> [B], what it
    decided by."""

    pixels: torch.Tensor
    logits: torch.Tensor
    signals: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def probabilities(self) -> torch.Tensor:
        return self.logits.softmax(-1)


Defending = Generator[Moment, None, Defended]


def exhausted(generator: Generator[Any, None, Result]) -> Result:
    """What a generator returns, say what a defence decides, for one who does not watch; under the grad mode
    of the caller."""
    while True:
        try:
            next(generator)
        except StopIteration as end:
            return end.value


def step_by_step(items: Iterable[Result], meanwhile: Any = None) -> Generator[Any, None, Result]:
    """Returns the last of the items, for one who does not watch them either, but may end
    the work at any of them: yields `meanwhile` after each."""
    for item in items:  # noqa: B007  the last is returned
        yield meanwhile
    return item


def watched(defending: Defending) -> Defending:
    """The same, moment by moment and without gradients, whatever happens between them."""
    while True:
        with torch.no_grad():
            try:
                moment = next(defending)
            except StopIteration as end:
                return end.value
        yield moment
