"""The example photographs: all come with installed packages, so none has to be stored here."""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import skimage
from gradio.media import get_image

_SKIMAGE = Path(skimage.__file__).parent / "data"


@dataclass(frozen=True)
class Example:
    """title: what it shows; path: the file; preset: the labels it is offered with; expected: the label of that preset
    that is right or, for what the embedded model never learned, nearest; recognised: that model says so too."""

    title: str
    path: str
    preset: str
    expected: str
    recognised: bool = True


EXAMPLES: tuple[Example, ...] = (
    Example("lion", get_image("lion.jpg"), "Animals", "lion"),
    Example("cat", str(_SKIMAGE / "chelsea.png"), "Animals", "tabby cat"),
    Example("cheetah", get_image("cheetah1.jpg"), "Kinds of things", "animal"),
    Example("cup of coffee", str(_SKIMAGE / "coffee.png"), "Food and drink", "coffee"),
    Example("tower", get_image("tower.jpg"), "Kinds of things", "tower"),
    Example("rocket", str(_SKIMAGE / "rocket.jpg"), "Vehicles", "rocket"),
    Example("astronaut", str(_SKIMAGE / "astronaut.png"), "Kinds of things", "clothes", recognised=False),
    Example("motorcycle", str(_SKIMAGE / "motorcycle_left.png"), "Kinds of things", "vehicle"),
    Example("running cheetah", get_image("cheetah.jpg"), "Kinds of things", "animal"),
)
