"""How perturbations are written in a reel: as whole numbers, each frame only what the ones before it do not
tell."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

import numpy as np
import torch

from demo_core.counterattack import TTCConfig, step_weights
from demo_core.story.run import Moment, Run

FINEST, COARSEST = 127, 16  # how many whole numbers a budget is divided into: they are sent as signed bytes
_PART = 4  # of a grey level, of which no screen shows a part: as fine as a grid need be
_ROUNDING = 1e-3  # by what share of the budget a sum of floats may lie outside it


@dataclass(frozen=True)
class Grid:
    """How the perturbations of an act are written: whole numbers from -levels to levels for -scale to scale
    (in pixel units). stride: by how many of them one step of a signed attack moves a value; 0: its steps are
    of no one size."""

    scale: float
    levels: int = FINEST
    stride: int = 0

    @staticmethod
    def of(scale: float, step_size: float = 0.0) -> Grid:
        """The finest grid on which a step is a whole number, or nearly: then of a step there is hardly more
        to tell than its sign."""
        finest = min(max(round(scale * 255 * _PART), COARSEST), FINEST)
        if scale <= 0 or step_size <= 0:
            return Grid(scale, finest)
        share, sizes = step_size / scale, range(finest, finest * 3 // 4, -1)
        levels = min(sizes, key=lambda n: round(abs(share * n - round(share * n)), 6))
        return Grid(scale, levels, round(min(share, 2) * levels))

    def values(self, delta: torch.Tensor) -> np.ndarray:
        """A perturbation [1,3,S,S] as int16 [3,S,S]."""
        whole = np.floor(delta[0].cpu().double().numpy() / max(self.scale, 1e-8) * self.levels + 0.5)
        return whole.clip(-self.levels, self.levels).astype(np.int16)

    def packed(
        self, values: np.ndarray, before: np.ndarray | None = None, expected: np.ndarray | None = None
    ) -> str:
        """What values [3,S,S] tell beyond those of the step before, or beyond what is expected: deflated, in
        base64.

        By plain differences, in signed bytes that wrap around. After a signed step: first a bit for each
        value, whether it went a stride up or down (the budget bounding it), eight to a byte, then the
        differences from that, nearly all of them zero. The bits are a step's whole content, so shorter it
        hardly gets.
        """
        bits = b""
        if expected is None:
            expected = np.zeros_like(values) if before is None else before
            if before is not None and self.stride:
                up = (values > before) | ((values == before) & (before > 0))
                expected = before + np.where(up, self.stride, -self.stride)
                expected = expected.clip(-self.levels, self.levels)
                bits = np.packbits(up).tobytes()
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        told = bits + (values - expected).astype(np.int8).tobytes()
        return base64.b64encode(deflate.compress(told) + deflate.flush()).decode()


def weighted(weights: list[float], steps: list[np.ndarray]) -> np.ndarray:
    """What the weighted sum of an act's steps [3,S,S] should be, as int16; computed as the page does, to the
    last bit."""
    total = np.zeros(steps[0].shape)
    for weight, values in zip(weights, steps, strict=True):
        total += weight * values
    return np.floor(total + 0.5).astype(np.int16)


def defence_grids(run: Run) -> list[Grid]:
    """One for each moment of the counterattack so far: the row's budget, or the most that was added up to
    there, where that is more. A frame's grid follows from no later moment, for it may have been sent."""
    budget = run.defense.budget(run.profile)
    if run.engaged is False and run.settings.defense == "default":
        scale = run.profile.own.noise_eps  # all that is added is the probing noise
    else:
        scale = budget.eps if budget else TTCConfig().eps
    step_size, grids = budget.step_size if budget else 0.0, []
    for moment in run.counterattack:
        most = moment.delta.abs().max().item()
        scale = most if most > scale * (1 + _ROUNDING) else scale
        grids.append(Grid.of(scale, step_size))
    return grids


def final_weights(run: Run) -> list[float] | None:
    """The weights with which the steps add up to what the defence adds in the end; None where they do not."""
    beta = getattr(run.defense.config(run.profile), "beta", None)
    whole = run.engaged and run.reading is not None and run.reading.weight == 1
    if not (whole and beta is not None and len(run.defence) == run.defence_steps + 1):
        return None
    return step_weights(run.defence_steps, beta).tolist()


def told_beyond(moment: Moment, grid: Grid, before: tuple[Moment, ...], weights: list[float] | None) -> str:
    """The moment's perturbation beyond what the moments before it in its act, on the same grid, tell.
    weights: of them, in the sum that it is expected to be."""
    steps = [grid.values(earlier.delta) for earlier in (before if weights else before[-1:])]
    expected = weighted(weights, steps) if weights else None
    return grid.packed(grid.values(moment.delta), steps[-1] if steps else None, expected)
