"""RESIZES: how a picture of any shape comes to a model's size; one meaning for page, links, endpoints and
benchmark."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torchvision.transforms.v2 import functional as vision

from demo_core.clip import ZeroShotCLIP
from demo_core.pictures import perturb, photo_side, to_photo, to_pixels


@dataclass(frozen=True)
class Resize:
    """How a picture is brought to a model's size: its shorter side to `larger` times that, resampled so, and
    the centre cut out; squash: the whole picture, whatever its shape. title: what records call it."""

    title: str
    larger: float
    interpolation: str
    squash: bool = False

    @staticmethod
    def of(clip: ZeroShotCLIP) -> Resize:
        """The model's own."""
        return Resize(OWN_RESIZE, 1.0, clip.interpolation, clip.squash)

    def at(self, picture: Image.Image, side: int) -> Image.Image:
        """The picture, square, of so many pixels a side."""
        size = [side, side] if self.squash else [round(side * self.larger)]
        larger = vision.resize(picture, size, vision.InterpolationMode(self.interpolation))
        cut: Image.Image = vision.center_crop(larger, [side, side])
        return cut


@dataclass(frozen=True)
class ResizeRow:
    """A row of RESIZES. title: of the choice; words: what the choice means, for reports."""

    title: str
    words: str


LAB, OWN_RESIZE = "lab", "clip"
PAPER = Resize("paper", 256 / 224, "bilinear")  # before a model of 224 pixels, as the paper's code does
RESIZES: dict[str, ResizeRow] = {
    LAB: ResizeRow(
        "This page’s: the centre square, sharp",
        "the centre square, bicubic to twice the model’s size, whose blocks’ means the model is given",
    ),
    PAPER.title: ResizeRow(
        "The paper’s: shorter side to 256, bilinear, the centre’s 224",
        "the shorter side to 256 before 224 pixels, bilinear, as the paper’s code does",
    ),
    OWN_RESIZE: ResizeRow(
        "The model’s own: of CLIP, shorter side to 224, bicubic",
        "pictures are resized as the model’s own preprocessing does",
    ),
}
OF_MANY = tuple(key for key in RESIZES if key != LAB)  # those that a benchmark has


def resize_for(key: str, clip: ZeroShotCLIP) -> Resize:
    """One of OF_MANY, for this model."""
    return PAPER if key == PAPER.title else Resize.of(clip)


def fitted(picture: Image.Image, side: int, whole: bool = False, resize: Resize = PAPER) -> torch.Tensor:
    """uint8 [3,side,side] of a picture. whole: one of the model's own size is taken as it is (Tiny ImageNet
    before the embedded models)."""
    picture = picture.convert("RGB")
    as_it_is = whole and picture.size == (side, side)
    return vision.pil_to_tensor(picture if as_it_is else resize.at(picture, side))


def photo_for(clip: ZeroShotCLIP, picture: Image.Image, key: str = LAB) -> torch.Tensor:
    """An RGB picture as a photo [3,P,P] in [0,1] for this model (see pictures.py). key: of RESIZES.

    By the paper's way or the model's own, what the model sees of the photo is `fitted` of the picture: the
    same cut of it, as sharp as the screen, is moved by what its block means lack of that. A square of P
    pixels is what the page itself saves, and is taken as it is by each way: an attack in it stays.
    """
    size = clip.image_size
    side = photo_side(size)
    if key == LAB or picture.size == (side, side):
        return to_photo(picture, size)
    resize = resize_for(key, clip)
    seen = fitted(picture, size, resize=resize)[None] / 255
    sharp = vision.pil_to_tensor(resize.at(picture, side)) / 255
    return perturb(sharp, seen - to_pixels(sharp, size))
