"""Small changes of a picture: the exact views that a gate asks, the closer looks that an answer is averaged
over, and the views of TTE. All map pixels [B,3,H,W] in [0,1] to as many."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from demo_core.counterattack import Encode, relative_drift
from demo_core.defenses.averages import mean_of


def shift(pixels: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """The picture moved by whole pixels, its border repeated: [B,3,H,W] -> [B,3,H,W]."""
    h, w = pixels.shape[-2:]
    rows = (torch.arange(h, device=pixels.device) - down).clamp(0, h - 1)
    columns = (torch.arange(w, device=pixels.device) - right).clamp(0, w - 1)
    return pixels[..., rows, :][..., columns]


VIEWS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "one pixel up": lambda x: shift(x, -1, 0),
    "one pixel down": lambda x: shift(x, 1, 0),
    "one pixel left": lambda x: shift(x, 0, -1),
    "one pixel right": lambda x: shift(x, 0, 1),
    "mirrored": lambda x: x.flip(-1),
}


def over_stack(function: Encode, stack: torch.Tensor) -> torch.Tensor:
    """What a function of a batch [N,...] makes of a stack of batches [V,B,...], in one call: [V,B,...]."""
    return function(stack.flatten(0, 1)).unflatten(0, stack.shape[:2])


def view_features(encode: Encode, pixels: torch.Tensor) -> torch.Tensor:
    """Features [1 + V, B, D] of the picture and of each of VIEWS, in one batch; differentiable."""
    stack = torch.stack([pixels, *(view(pixels) for view in VIEWS.values())])
    return over_stack(encode, stack)


def view_drift(features: torch.Tensor) -> torch.Tensor:
    """Mean relative drift [B] of the embedding over the views, from view_features [1 + V, B, D]."""
    return mean_of(relative_drift(features[1:], features[:1]))


def look(pixels: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """A closer look at each picture: zoomed in by up to a sixth somewhere in it, turned by up to 5°, and one
    time in two mirrored; [B,3,H,W] -> [B,3,H,W], differentiable. drawn: five numbers [B,5] in [-1,1] for each
    picture: zoom, angle, down, right, and its side, below nought mirrored.

    The grid is written out rather than left to a matrix product, whose last bits depend on the batch.
    """
    zoom, angle, down, right, side = drawn.to(pixels).view(-1, 5, 1, 1).unbind(1)
    scale = 1 - (1 + zoom) / 12
    cos, sin, room = (
        scale * torch.cos(angle * math.radians(5)),
        scale * torch.sin(angle * math.radians(5)),
        1 - scale,
    )
    h, w = pixels.shape[-2:]
    y = ((torch.arange(h, device=pixels.device) * 2 + 1) / h - 1).view(1, h, 1)
    x = ((torch.arange(w, device=pixels.device) * 2 + 1) / w - 1).view(1, 1, w) * torch.where(
        side > 0, 1.0, -1.0
    )
    grid = torch.stack([cos * x - sin * y + room * right, sin * x + cos * y + room * down], -1)
    return F.grid_sample(pixels, grid, padding_mode="reflection", align_corners=False)


# Closer looks: zoom, angle, down, right and side of each, as `look` takes them. The last two are the middle
# five sixths, mirrored, and the lower right corner of seven eighths, mirrored.
LOOKS = (
    (-0.28, 0.0, 0.5, 0.5, 1.0),
    (-0.28, 0.0, 0.33, -0.5, -1.0),
    (0.44, 0.6, -0.42, -0.42, 1.0),
    (0.44, -0.6, -0.42, 0.42, -1.0),
    (1.0, 0.0, 0.0, 0.0, -1.0),
    (0.5, 0.0, 1.0, 1.0, -1.0),
)


def looking(drawn: Sequence[float]) -> Encode:
    """One and the same look for every picture, as a view."""
    return lambda pixels: look(pixels, torch.tensor(drawn).expand(len(pixels), -1))


def transformed(pixels: torch.Tensor) -> list[torch.Tensor]:
    """The views of TTE: the picture, its four corner crops (7/8 of each side, resized back), and the mirrors
    of all."""
    side = pixels.shape[-1]
    part = side * 7 // 8
    corners = [
        pixels[..., top : top + part, left : left + part]
        for top in (0, side - part)
        for left in (0, side - part)
    ]
    views = [pixels, *(F.interpolate(c, (side, side), mode="bilinear", align_corners=False) for c in corners)]
    return views + [view.flip(-1) for view in views]
