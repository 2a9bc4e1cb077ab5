"""Does any of the labels fit the picture at all? A calibrated score, told before anything is attacked."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch


@dataclass(frozen=True)
class Fit:
    """Where a model's best cosine lies on photographs with and without their label on offer.

    slope, middle: of the logistic curve that turns the best cosine into the chance that a fitting label is
    among the labels, fitted on calibration photographs (`python -m demo_core.embedded.calibrate`). auc: how
    well the best cosine told the two apart there. pictures: how many.
    """

    slope: float
    middle: float
    auc: float
    pictures: int

    def chance(self, best: torch.Tensor) -> torch.Tensor:
        """[...] best cosines of a picture with the labels -> the chance [...] that one of them fits."""
        return torch.sigmoid(self.slope * (best - self.middle))

    @staticmethod
    def read(path: Path) -> Fit:
        return Fit(**json.loads(path.read_text(encoding="utf-8")))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
