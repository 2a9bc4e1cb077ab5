"""The example photographs: all come with installed packages, so none has to be stored here."""
from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

# Found without importing the packages: this list is read where no page is built too.
_SKIMAGE = Path(find_spec("skimage").origin).parent / "data"
_GRADIO = Path(find_spec("gradio").origin).parent / "media_assets" / "images"


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
    Example("lion", str(_GRADIO / "lion.jpg"), "Animals", "lion"),
    Example("cat", str(_SKIMAGE / "chelsea.png"), "Animals", "tabby cat"),
    Example("cheetah", str(_GRADIO / "cheetah1.jpg"), "Kinds of things", "animal"),
    Example("cup of coffee", str(_SKIMAGE / "coffee.png"), "Food and drink", "coffee"),
    Example("tower", str(_GRADIO / "tower.jpg"), "Kinds of things", "tower"),
    Example("rocket", str(_SKIMAGE / "rocket.jpg"), "Vehicles", "rocket"),
    Example("astronaut", str(_SKIMAGE / "astronaut.png"), "Kinds of things", "clothes", recognised=False),
    Example("motorcycle", str(_SKIMAGE / "motorcycle_left.png"), "Kinds of things", "vehicle"),
    Example("running cheetah", str(_GRADIO / "cheetah.jpg"), "Kinds of things", "animal"),
)
