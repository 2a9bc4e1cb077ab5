"""Test-time counterattack (TTC): Xing et al., *CLIP is Strong Enough to Fight Back*, CVPR 2025.

`encode` maps pixels [B,3,H,W] in [0,1] to raw (un-normalised) features [B,D]; all sizes are in pixel units.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import torch

from demo_core.ascent import Advance, Budget, Step, ascend
from demo_core.moments import Measured, Moved, exhausted

TAU = "tau"  # the name of the paper's signal
Encode = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Gate:
    """When a defence acts. signal: what is measured, a key of defenses.SIGNALS; threshold: of it; below: the
    suspects are the pictures under the threshold, else those over it; slope: of a soft gate, 0 for a hard
    one."""

    signal: str
    threshold: float
    below: bool = False
    slope: float = 0.0

    def engages(self, values: torch.Tensor) -> torch.Tensor:
        """[...] bool: do these values [...] call for the defence?"""
        return values < self.threshold if self.below else values > self.threshold

    def weight(self, values: torch.Tensor) -> torch.Tensor:
        """How much of the counterattack each picture gets [...]: 0 or 1, or sigma(slope (value - threshold))
        of a soft gate, the other way round where the suspects are below."""
        if not self.slope:
            return self.engages(values).float()
        return torch.sigmoid((-self.slope if self.below else self.slope) * (values - self.threshold))


@dataclass(frozen=True)
class TTCConfig(Budget):
    """The paper's settings. beta: how steeply the later steps outweigh the earlier ones in the result;
    tau_threshold: below it a picture counts as falsely stable."""

    beta: float = 2.0
    tau_threshold: float = 0.2

    @property
    def gate(self) -> Gate:
        return Gate(TAU, self.tau_threshold, below=True)

    @property
    def budget(self) -> Budget:
        return self


def relative_drift(moved: torch.Tensor, anchor: torch.Tensor) -> torch.Tensor:
    """‖moved - anchor‖ / ‖anchor‖ over the last dimension: [...,D] -> [...]."""
    return (moved - anchor).norm(dim=-1) / anchor.norm(dim=-1)


def stability(encode: Encode, pixels: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """tau [B] = ‖f(x+n) - f(x)‖ / ‖f(x)‖: how far a little noise moves the embedding. Small: suspiciously
    stable. Differentiable."""
    return relative_drift(encode(pixels + noise), encode(pixels))


def counterattack(
    encode: Encode,
    pixels: torch.Tensor,
    start: torch.Tensor,
    config: Budget,
    *,
    anchor: torch.Tensor | None = None,
    advance: Advance | None = None,
    unroll: bool = False,
) -> Iterator[Step]:
    """Push the embedding away from where it is: raise ‖f(x+delta) - f(x)‖², ungated and unweighted.

    anchor: f(pixels) [B,D] where it is already known; advance, unroll: see ascend. Step.output holds
    f(x+delta) [B,D].
    """
    if anchor is None:
        with torch.set_grad_enabled(unroll):
            anchor = encode(pixels)
    return ascend(
        encode,
        lambda features: (features - anchor).pow(2).sum(-1),
        pixels,
        start,
        config,
        advance=advance,
        unroll=unroll,
    )


def step_weights(steps: int, beta: float) -> torch.Tensor:
    """The weight [steps + 1] of each step in the result: softmax(beta * step). Sums to one, so the weighted
    perturbation stays inside the budget and the pixel range."""
    return torch.softmax(beta * torch.arange(steps + 1, dtype=torch.float32), 0)


def weigh(deltas: list[torch.Tensor], beta: float) -> torch.Tensor:
    """The weighted sum of delta_0 ... delta_N."""
    weights = step_weights(len(deltas) - 1, beta).tolist()
    return sum(w * delta for w, delta in zip(weights, deltas, strict=True))


def purifying(
    encode: Encode,
    pixels: torch.Tensor,
    start: torch.Tensor,
    config: TTCConfig,
    *,
    probe: Encode | None = None,
    unroll: bool = False,
) -> Generator[Measured | Moved, None, tuple[torch.Tensor, torch.Tensor]]:
    """The whole counterattack on a batch, moment by moment; returns (delta [B,3,H,W], tau [B]).

    start: the noise n, which probes the stability and is where the counterattack begins. Rows with tau <
    tau_threshold are counterattacked; the others keep `start`. probe: the encoder that tau is measured with,
    where it is not `encode` (the paper probes an adversarially fine-tuned CLIP with the original one).
    unroll: see ascend; which rows are counterattacked counts as constant.

    Without a probe this costs steps + 1 forward and steps backward passes; the rows left alone drop out after
    the first step, or before any gradient where all of them are.
    """
    if probe is not None:
        with torch.no_grad():
            tau = stability(probe, pixels, start)
        rows = config.gate.engages(tau)
        yield Measured(TAU, tau, rows.float())
        deltas = []
        if rows.any():
            for step in counterattack(encode, pixels[rows], start[rows], config, unroll=unroll):
                yield Moved(rows, step.delta, step.output)
                deltas.append(step.delta)
    else:
        with torch.set_grad_enabled(unroll):
            anchor = encode(pixels)
        path = counterattack(encode, pixels, start, replace(config, steps=1), anchor=anchor, unroll=unroll)
        features = next(path).output  # the first step's forward pass is the stability probe
        assert features is not None  # only the last step has none
        tau = relative_drift(features, anchor.detach())
        rows = config.gate.engages(tau)
        yield Measured(TAU, tau, rows.float())
        deltas = [start[rows]] if rows.any() else []
        if deltas:
            yield Moved(rows, start[rows], features[rows])
        if deltas and config.steps > 0:
            # The graph of the whole batch is there already: one backward through it is cheaper than a second
            # forward.
            first, rest = next(path).delta[rows], replace(config, steps=config.steps - 1)
            for step in counterattack(encode, pixels[rows], first, rest, anchor=anchor[rows], unroll=unroll):
                yield Moved(rows, step.delta, step.output)
                deltas.append(step.delta)
    delta = start.clone()
    if deltas:
        delta[rows] = weigh(deltas, config.beta)
    return delta, tau


def purify(
    encode: Encode,
    pixels: torch.Tensor,
    start: torch.Tensor,
    config: TTCConfig,
    *,
    probe: Encode | None = None,
    unroll: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole counterattack on a batch: (delta [B,3,H,W], tau [B]); see `purifying`."""
    return exhausted(purifying(encode, pixels, start, config, probe=probe, unroll=unroll))
