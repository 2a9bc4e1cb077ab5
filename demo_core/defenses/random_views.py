"""Views that published rows draw at random, of each picture [B,3,H,W] in [0,1] with dice of its own; all
differentiable, those that count in steps (bit depth, JPEG) as if they changed nothing (BPDA)."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from PIL import Image
from torchvision.transforms.v2 import functional as vision

from demo_core.ascent import Dice, uniform


def augmented(pixels: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """MAC's random view of each picture: up to 5° rotation, 4 % shift and 8 % scale, and each with
    probability one half colour jitter (.08, .08, .08, .02), a 5-tap blur of sigma .5 to 1.2, and noise of
    sigma up to .02. Differentiable."""
    found = []
    drawn = uniform((len(pixels), 13), dice, 0.0, 1.0).tolist()
    grain = uniform(pixels.shape, dice).to(pixels) * 3**0.5  # of unit variance
    for x, u, n in zip(pixels, drawn, grain):
        between = [2 * v - 1 for v in u]
        side = x.shape[-1]
        x = vision.affine(
            x,
            5 * between[0],
            [0.04 * side * between[1], 0.04 * side * between[2]],
            1 + 0.08 * between[3],
            [0.0, 0.0],
            interpolation=vision.InterpolationMode.BILINEAR,
        )
        if u[4] < 0.5:
            x = vision.adjust_brightness(x, 1 + 0.08 * between[5])
            x = vision.adjust_contrast(x, 1 + 0.08 * between[6])
            x = vision.adjust_saturation(x, 1 + 0.08 * between[7])
            x = x + (
                vision.adjust_hue(x.detach(), 0.02 * between[8]) - x.detach()
            )  # torchvision's is not differentiable
        if u[9] < 0.5:
            x = vision.gaussian_blur(x, [5, 5], [0.5 + 0.7 * u[10]] * 2)
        if u[11] < 0.5:
            x = (x + 0.02 * u[12] * n).clamp(0, 1)
        found.append(x.clamp(0, 1))
    return torch.stack(found)


def as_constant(view: Callable[[torch.Tensor], torch.Tensor], pixels: torch.Tensor) -> torch.Tensor:
    """The view, which backwards passes gradients on as if it were the picture itself."""
    with torch.no_grad():
        change = view(pixels) - pixels
    return pixels + change


def jpeg(pixels: torch.Tensor, quality: int) -> torch.Tensor:
    """Stored as JPEG and read again; not differentiable."""

    def stored(x: torch.Tensor) -> torch.Tensor:
        file = io.BytesIO()
        vision.to_pil_image(x).save(file, "JPEG", quality=quality)
        return vision.pil_to_tensor(Image.open(file))

    levels = (pixels * 255).round().clamp(0, 255).to(torch.uint8).cpu()
    return torch.stack([stored(x) for x in levels]).to(pixels.device) / 255


def resized_crop(pixels: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """A random part of each picture, half to all of its area, of an aspect between 3/4 and 4/3, resized back,
    and one time in two mirrored."""
    side, found = pixels.shape[-1], []
    for x, (area, aspect, down, right, mirror) in zip(
        pixels, uniform((len(pixels), 5), dice, 0.0, 1.0).tolist()
    ):
        part, ratio = 0.5 + 0.5 * area, math.exp((2 * aspect - 1) * math.log(4 / 3))
        h, w = (min(side, round(side * (part * r) ** 0.5)) for r in (1 / ratio, ratio))
        x = vision.resized_crop(
            x, int(down * (side - h + 1)), int(right * (side - w + 1)), h, w, [side, side]
        )
        found.append(x.flip(-1) if mirror < 0.5 else x)
    return torch.stack(found)


def perspective(pixels: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """Each picture seen at a random slant, black around: every corner moves in by up to a quarter of the side
    (distortion .5), bicubic."""
    side = pixels.shape[-1]
    moves = uniform((len(pixels), 4, 2), dice, 0.0, 0.5).double()  # of half the side
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]).double()
    shown = corners * (1 - moves)  # where the corners of the picture are seen
    x, y = shown.unbind(-1)
    one, nought = torch.ones_like(x), torch.zeros_like(x)
    u, v = corners.expand_as(shown).unbind(-1)
    rows = torch.stack(  # from where it is seen to where it is in the picture: eight equations each
        [
            torch.stack([x, y, one, nought, nought, nought, -u * x, -u * y], -1),
            torch.stack([nought, nought, nought, x, y, one, -v * x, -v * y], -1),
        ],
        2,
    ).flatten(1, 2)
    a = torch.linalg.solve(rows, torch.stack([u, v], -1).flatten(1)).float().to(pixels.device)
    a, b, c, d, e, f, g, h = a.view(-1, 8, 1, 1).unbind(1)
    at = (torch.arange(side, device=pixels.device) * 2 + 1) / side - 1
    x, y = at.view(1, 1, -1), at.view(1, -1, 1)
    depth = g * x + h * y + 1
    grid = torch.stack([(a * x + b * y + c) / depth, (d * x + e * y + f) / depth], -1)
    return F.grid_sample(pixels, grid, "bicubic", "zeros", align_corners=False).clamp(0, 1)


def bit_depth(pixels: torch.Tensor, rounded: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
    """Three bits a channel, the levels found by `rounded`; not differentiable."""
    return rounded(pixels * 7) / 7


def median(pixels: torch.Tensor) -> torch.Tensor:
    """The median of each 5 x 5 window, the border mirrored."""
    padded = F.pad(pixels, [2] * 4, "reflect")
    return padded.unfold(2, 5, 1).unfold(3, 5, 1).flatten(4).median(-1).values


def dbd_views(pixels: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """The 31 views of DBD [31,B,3,H,W]: 16 random parts; three bits by floor, round and ceil; JPEG of 50, 60
    and 75; six times noise of sigma .1; a median, a mean and a Gaussian of 5 x 5."""
    grey = vision.gaussian_blur(pixels, [5, 5])
    mean = F.avg_pool2d(F.pad(pixels, [2] * 4, "reflect"), 5, 1)
    levels = (torch.floor, torch.round, torch.ceil)
    return torch.stack(
        [
            *(resized_crop(pixels, dice) for _ in range(16)),
            *(as_constant(partial(bit_depth, rounded=r), pixels) for r in levels),
            *(as_constant(partial(jpeg, quality=q), pixels) for q in (50, 60, 75)),
            *((pixels + 0.1 * normal(pixels, dice)).clamp(0, 1) for _ in range(6)),
            median(pixels),
            mean,
            grey,
        ]
    )


def normal(like: torch.Tensor, dice: Dice = None) -> torch.Tensor:
    """Gaussian noise of unit variance, drawn as `uniform` draws."""
    return (torch.special.ndtri(uniform(like.shape, dice, 1e-6, 1 - 1e-6))).to(like)
