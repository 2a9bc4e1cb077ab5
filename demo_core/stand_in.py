"""Models that stand in for one where only its passes are counted: they have its form, and cost nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

from demo_core.clip import Passes, ZeroShotCLIP, count_passes, in_tiles

SIDE, WIDTH, LABELS = 32, 8, 3
STEADY, WILD = 1e-3, 1e3  # how far an embedding goes with its picture: hardly, and anywhere


class _Tower(nn.Module):
    """Features [B,WIDTH] that turn with the mean of the pixels, by so many turns."""

    def __init__(self, turns: float):
        super().__init__()
        self.visual = SimpleNamespace(image_size=(SIDE, SIDE))
        self.logit_scale = nn.Parameter(torch.tensor(4.6))
        self.turns = turns

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        places = F.adaptive_avg_pool2d(pixels.mean(1, keepdim=True), (1, WIDTH)).flatten(1)
        return torch.sin(1 + torch.arange(WIDTH) + self.turns * places)

    def encode_text(self, tokens: torch.Tensor) -> torch.Tensor:
        return torch.randn(len(tokens), WIDTH, generator=torch.Generator().manual_seed(0))


def _tokens(texts: Sequence[str]) -> torch.Tensor:
    """[K,2], each text's own."""
    return torch.tensor([[i + 1, 0] for i in range(len(texts))])


def stand_ins(tuned: bool) -> list[ZeroShotCLIP]:
    """Two models before which every gate acts on one at least: one whose embedding noise and views hardly
    move, and one that they throw anywhere. tuned: each has an original beside it."""

    def model(turns: float, original: ZeroShotCLIP | None = None) -> ZeroShotCLIP:
        return ZeroShotCLIP(_Tower(turns), _tokens, (0, 0, 0), (1, 1, 1), original)

    return [model(turns, model(turns) if tuned else None) for turns in (STEADY, WILD)]


def label_features() -> torch.Tensor:
    """Unit text features [LABELS,WIDTH] to go with them."""
    return stand_ins(tuned=False)[0].text_features([f"label {i}" for i in range(LABELS)], "{}")


def each_counted(
    compute: Callable[[ZeroShotCLIP, torch.Tensor], object], tuned: bool, gradient: bool = False
) -> list[Passes]:
    """The passes of what is computed with each of them and a picture of noise [1,3,SIDE,SIDE], which whoever
    counts around this does not count. gradient: whether it has passes back."""
    found = []
    for clip in stand_ins(tuned):
        noise = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
        with in_tiles(None), count_passes(alone=True) as passes, torch.set_grad_enabled(gradient):
            compute(clip, noise.requires_grad_(gradient))
        found.append(passes)
    return found


_COUNTED: dict[tuple[object, ...], Passes] = {}


def counted(
    work: tuple[object, ...],
    compute: Callable[[ZeroShotCLIP, torch.Tensor], object],
    tuned: bool,
    gradient: bool = False,
) -> Passes:
    """The most of these. work: a name, by which it is computed once."""
    key = (*work, tuned, gradient)
    if key not in _COUNTED:
        found = each_counted(compute, tuned, gradient)
        _COUNTED[key] = Passes(max(p.forward for p in found), max(p.backward for p in found))
    return _COUNTED[key]
