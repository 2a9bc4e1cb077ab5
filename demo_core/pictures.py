"""Bytes -> a safe RGB photo -> the model's pixels; and pixels + perturbation -> a picture to show or
download.

A photo here is [3,P,P] with P = k*S pixels a side whose k x k block means *are* the model's S x S input. So
the picture on the screen is exactly what the model sees, k times sharper, and an attacked one can be saved as
PNG, uploaded again, and still fools the model, up to 8-bit rounding.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from demo_core.limits import LIMITS

PHOTO_SIDE = 448  # 7 x 64, 2 x 224: the least on the screen
MAX_PIXELS = LIMITS.megapixels * 1_000_000
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")  # decoders that are fit for a stranger's file
_BAYER_STEPS = 8
TIFF_BITS, TIFF_GREATEST = 258, 281  # BitsPerSample, MaxSampleValue


Image.init()  # registers all decoders; without it Pillow knows a few only until it fails once


class PictureError(ValueError):
    """A picture cannot be used. The message is one sentence that says what to do."""


def open_picture(source: str | Path | Image.Image) -> Image.Image:
    """An upright 8-bit RGB picture. The first frame of an animation; transparency over white; 16 bits and
    floating-point numbers scaled to 8 bits, those that are no number or infinite black.

    Raises PictureError for what cannot be read, is empty, or has over 40 megapixels (checked before
    decoding).
    """
    try:
        picture = source if isinstance(source, Image.Image) else _open(Path(source))
        if picture.width * picture.height > MAX_PIXELS:
            raise PictureError(
                f"This picture has {_megapixels(picture.width * picture.height)} megapixels: scale it down"
                f" to at most {MAX_PIXELS // 1_000_000}."
            )
        picture.seek(0)
        top = _white_of(picture)
        picture = ImageOps.exif_transpose(picture)
        if picture.mode.startswith("I") or picture.mode == "F":
            picture = _to_8_bit(picture, top)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        return picture.convert("RGB")
    except PictureError:
        raise
    except Exception as error:  # decoders of broken files raise whatever they stumble over
        raise PictureError(
            "This file cannot be read as a picture: upload a PNG, JPEG or WebP file."
        ) from error


def _open(path: Path) -> Image.Image:
    if not path.exists():
        raise PictureError("This picture is no longer kept here: choose it again.")
    if path.stat().st_size == 0:
        raise PictureError("This file is empty: upload a PNG, JPEG or WebP picture.")
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PictureError(
            "This file cannot be read as a picture: upload a PNG, JPEG or WebP file."
        ) from error
    except Image.DecompressionBombError as error:
        raise PictureError(
            f"This picture is too large: scale it down to at most {MAX_PIXELS // 1_000_000} megapixels."
        ) from error


def _megapixels(pixels: int) -> str:
    """A size over the limit with as many digits as it takes to differ from the limit."""
    limit = f"{MAX_PIXELS / 1e6:.0f}"
    for digits in range(6):
        size = f"{pixels / 1e6:.{digits}f}"
        if float(size) > float(limit):
            return size
    return f"{pixels / 1e6:.6f}"  # exact


def _white_of(picture: Image.Image) -> float | None:
    """The number that is white in a TIFF of whole numbers, by what it says of itself; None of other pictures.
    Cameras and microscopes put their 12 bits into 16 without saying so: nothing in such a picture is over
    4095."""
    if not isinstance(picture, TiffImageFile) or not picture.mode.startswith("I"):
        return None
    bits, greatest = picture.tag_v2.get(TIFF_BITS, (16,))[0], picture.tag_v2.get(TIFF_GREATEST, (0,))[0]
    if bits != 16:
        return 2.0**bits - 1 if bits < 16 else None
    return float(greatest) or (4095.0 if 255 < np.asarray(picture).max() <= 4095 else None)


def _to_8_bit(picture: Image.Image, top: float | None = None) -> Image.Image:
    """top: the number that is white, where that is known."""
    values = np.asarray(picture, np.float32)
    values = np.where(np.isfinite(values), values, 0)  # one pixel that is no number must not blacken the rest
    if top is None:
        large = picture.mode.startswith("I") and values.max() > 255
        top = 65535.0 if large else max(float(values.max()), 1.0)
    return Image.fromarray((values.clip(0, top) * (255 / top)).round().astype(np.uint8), "L")


def photo_side(image_size: int) -> int:
    """P, pixels a side of a photo for a model of S: the least multiple of S that is PHOTO_SIDE or more."""
    return -(-PHOTO_SIDE // image_size) * image_size


def to_photo(picture: Image.Image, image_size: int = PHOTO_SIDE // 2) -> torch.Tensor:
    """The centre square of an RGB picture as [3,P,P] in [0,1], with P = photo_side(image_size), the model's.

    The shorter side is brought to P by bicubic resampling; a square picture of half the size is enlarged by
    repeating pixels, so that it reaches a model of that size unchanged. (A tiny one is not: blocks are no
    photograph.)
    """
    (w, h), side = picture.size, photo_side(image_size)
    if w == h and w in (side, side // 2):
        picture = picture.resize((side, side), Image.Resampling.NEAREST)
    else:
        picture = ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    return torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 255


def to_pixels(photo: torch.Tensor, image_size: int) -> torch.Tensor:
    """What the model sees [1,3,S,S] of a photo [3,P,P]: its block means. Raises ValueError where S does not
    divide P."""
    side = photo.shape[-1]
    if side % image_size:
        raise ValueError(
            f"A model of {image_size} px needs a photo side that is a multiple of it, not {side}."
        )
    return F.avg_pool2d(photo[None], side // image_size)


def perturb(photo: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """The photo [3,P,P] whose block means are to_pixels(photo) + delta, for a perturbation delta [1,3,S,S].

    Where adding delta would leave [0, 1], the block's contrast is lowered around its mean just enough to fit.
    """
    delta, size = delta.detach().cpu(), delta.shape[-1]
    k = photo.shape[-1] // size
    mean = _enlarge(to_pixels(photo, size), k)
    target, detail = mean + _enlarge(delta, k), photo - mean
    room = torch.where(detail > 0, 1 - target, target).clamp(min=0)
    fits = (room / detail.abs().clamp(min=1e-8)).clamp(max=1)
    contrast = _enlarge(-F.max_pool2d(-fits[None], k), k)  # the tightest pixel decides for its block
    return (target + detail * contrast).clamp(0, 1)


def _enlarge(grid: torch.Tensor, k: int) -> torch.Tensor:
    """[1,3,S,S] -> [3,kS,kS] by repeating."""
    return grid[0].repeat_interleave(k, -2).repeat_interleave(k, -1)


def to_image(photo: torch.Tensor) -> Image.Image:
    """A photo [3,P,P] in [0,1] as an 8-bit RGB picture.

    Rounding is spread over neighbours (ordered dithering at one 8-bit level, invisible), so that block means
    survive although a perturbation of a fraction of 1/255 could not be stored in any single pixel.
    """
    levels = photo.detach().cpu().double().numpy() * 255
    whole = np.floor(levels + 1e-4)  # float32 arithmetic leaves an exact level a hair below itself
    side = photo.shape[-1]
    threshold = np.tile(_thresholds(), (-(-side // _BAYER_STEPS),) * 2)[:side, :side]
    return Image.fromarray(
        (whole + (levels - whole > threshold)).clip(0, 255).astype(np.uint8).transpose(1, 2, 0)
    )


def _thresholds() -> np.ndarray:
    """The 8 x 8 Bayer matrix as thresholds in (0, 1)."""
    matrix = np.zeros((1, 1))
    while len(matrix) < _BAYER_STEPS:
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    return (matrix + 0.5) / matrix.size


def as_url(picture: Image.Image, kind: str = "webp", **options: Any) -> str:
    """A picture as an address that holds it. kind: of file, webp or png."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return f"data:image/{kind};base64," + base64.b64encode(file.getvalue()).decode()


def enlarged(delta: torch.Tensor, eps: float) -> Image.Image:
    """A perturbation [1,3,S,S] made visible: grey is none, full black or white is -eps or +eps."""
    scaled = (delta.detach().cpu()[0] / max(eps, 1e-8) * 0.5 + 0.5).clamp(0, 1)
    picture = Image.fromarray((scaled * 255).round().byte().permute(1, 2, 0).numpy())
    return picture.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.NEAREST)
