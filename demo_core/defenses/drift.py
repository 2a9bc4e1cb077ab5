"""How far the embedding moves: over noise strengths and over views; and the Study, a model's record of both.

A study is a table of rows, one for each pile of pictures (clean, or attacked at some eps), encoder and probe
(noise of some strength, a view, one of the two gating signals, or the growth of the drift from weak noise to
strong, or what another gate of the table reads). It is made by `python -m demo_core.calibrate`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torchvision.transforms.v2 import functional as vision

from demo_core.counterattack import TTCConfig, relative_drift
from demo_core.defenses.random_views import augmented, jpeg
from demo_core.defenses.signals import MAC_VIEW
from demo_core.defenses.views import VIEWS

Encode = Callable[[torch.Tensor], torch.Tensor]
NOISE_STRENGTHS = (0.5, 1, 2, 4, 8, 16, 32)  # in 1/255
TAU_STRENGTH = round(TTCConfig().eps * 255)  # the one of these that tau is defined with
WEAK_STRENGTH, STRONG_STRENGTH = (
    0.5,
    8,
)  # attacked pictures are still under the one and unsteady under the other
GROWTH = "growth"  # the drift under strong noise over that under weak noise
LEVELS = tuple(i / 20 for i in range(21))  # of the quantiles that a study keeps
CLEAN_PILE = "clean"
OWN, ORIGINAL = "own", "original"  # whose encoder measures the drift


def _cropped(pixels: torch.Tensor) -> torch.Tensor:
    side = pixels.shape[-1]
    return vision.resize(vision.center_crop(pixels, [side * 7 // 8]), [side, side], antialias=True)


STUDY_VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one pixel right": VIEWS["one pixel right"],
    "mirrored": VIEWS["mirrored"],
    "cropped to 7/8": _cropped,
    "blurred, sigma 1": lambda x: vision.gaussian_blur(x, [5, 5], [1.0, 1.0]),
    "JPEG, quality 75": lambda x: jpeg(x, 75),
    MAC_VIEW: lambda x: augmented(x, [torch.Generator().manual_seed(0) for _ in x]),
}


@torch.no_grad()
def _drifts(encode: Encode, changed: list[torch.Tensor], anchor: torch.Tensor) -> torch.Tensor:
    """Relative drift [S,B] of each of S changed versions [B,3,H,W] from anchor [B,D]; few pictures go in one
    batch."""
    stack = torch.stack(changed)
    features = torch.cat([encode(part) for part in stack.flatten(0, 1).split(128)])
    return relative_drift(features.unflatten(0, stack.shape[:2]), anchor)


def noise_drifts(
    encode: Encode, pixels: torch.Tensor, unit_noise: torch.Tensor, anchor: torch.Tensor
) -> torch.Tensor:
    """Relative drift [S,B] from anchor = encode(pixels) [B,D] under one noise in [-1, 1], scaled to each of
    NOISE_STRENGTHS and cut to the pixel range."""
    return _drifts(encode, [(pixels + unit_noise * s / 255).clamp(0, 1) for s in NOISE_STRENGTHS], anchor)


def growth(over_noise: torch.Tensor) -> torch.Tensor:
    """How much further strong noise moves the embedding than weak noise: noise_drifts [S,B] -> [B]."""
    strong, weak = (over_noise[NOISE_STRENGTHS.index(s)] for s in (STRONG_STRENGTH, WEAK_STRENGTH))
    return strong / weak.clamp_min(1e-12)


def view_drifts(encode: Encode, pixels: torch.Tensor, views: torch.Tensor) -> dict[str, torch.Tensor]:
    """Relative drift [B] over each of STUDY_VIEWS; views [1 + V,B,D], what view_features gave, saves
    passes."""
    seen = {name: relative_drift(features, views[0]) for name, features in zip(VIEWS, views[1:])}
    others = [name for name in STUDY_VIEWS if name not in seen]
    seen |= dict(zip(others, _drifts(encode, [STUDY_VIEWS[name](pixels) for name in others], views[0])))
    return {name: seen[name] for name in STUDY_VIEWS}


@dataclass(frozen=True)
class Row:
    """pile: CLEAN_PILE or the attack's words; eps: the attack's, in 1/255, 0 for clean; probe: "noise" with
    its strength in 1/255, a view, or the name of a gating signal; quantiles: of the relative drift, at
    LEVELS; auc: the chance that a clean picture drifts further than one of this pile."""

    pile: str
    eps: float
    encoder: str
    probe: str
    strength: float
    quantiles: list[float]
    auc: float | None = None


@dataclass(frozen=True, eq=False)  # compared, and hashed, by identity
class Study:
    """title: what was studied; pictures, labels: how many of each; median_flip_eps: the eps, in 1/255, at
    which PGD-10 changes the prediction of half the pictures; rows: see Row."""

    title: str
    pictures: int
    labels: int
    median_flip_eps: float
    rows: list[Row]

    def find(self, probe: str, *, encoder: str = OWN, strength: float = 0) -> dict[str, Row]:
        """The rows of one probe, by pile, in the order of their eps."""
        return {
            row.pile: row
            for row in self.rows
            if row.probe == probe and row.encoder == encoder and (not strength or row.strength == strength)
        }

    @property
    def probing(self) -> str:
        """The encoder that the model's signals are probed with."""
        return ORIGINAL if any(row.encoder == ORIGINAL for row in self.rows) else OWN

    @property
    def piles(self) -> dict[str, float]:
        return {row.pile: row.eps for row in self.rows}

    @staticmethod
    def read(path: Path) -> Study:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return Study(**fields | {"rows": [Row(**row) for row in fields["rows"]]})

    def text(self) -> str:
        """As a file has it."""
        rows = ",\n".join("  " + json.dumps(asdict(row)) for row in self.rows)
        head = json.dumps({k: v for k, v in asdict(self).items() if k != "rows"}, indent=1)[:-2]
        return f'{head},\n "rows": [\n{rows}\n ]\n}}\n'
