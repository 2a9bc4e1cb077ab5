"""The example photographs: nearly all come with installed packages, so that few have to be stored here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path


def _folder_of(package: str) -> Path:
    """Where an installed package lies, found without importing it: this list is read where no page is built
    too. Raises ImportError where it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ImportError(f"The package {package} is missing: pip install -r requirements.txt.")
    return Path(found.origin).parent


_SKIMAGE = _folder_of("skimage") / "data"
_GRADIO = _folder_of("gradio") / "media_assets" / "images"
_HERE = Path(__file__).resolve().parent.parent / "assets" / "photographs"
_FROM_GRADIO = "comes with Gradio, whose licence is Apache-2.0"


@dataclass(frozen=True)
class Example:
    """title: what it shows; path: the file; preset: the labels it is offered with; expected: the one of them
    that is right; author, licence: of the photograph; recognised: the model in the box says what is right."""

    title: str
    path: str
    preset: str
    expected: str
    author: str
    licence: str
    recognised: bool = True

    @property
    def present(self) -> bool:
        """Whether its file is here."""
        return Path(self.path).is_file()


PHOTOGRAPHS: tuple[Example, ...] = (
    Example("lion", str(_GRADIO / "lion.jpg"), "Animals", "lion", "unknown", _FROM_GRADIO),
    Example("cat", str(_SKIMAGE / "chelsea.png"), "Dogs and cats", "tabby cat", "Stéfan van der Walt", "CC0"),
    Example("cheetah", str(_GRADIO / "cheetah1.jpg"), "Animals", "cheetah", "unknown", _FROM_GRADIO),
    Example(
        "cup of coffee", str(_SKIMAGE / "coffee.png"), "Food and drink", "espresso", "Rachel Michetti", "CC0"
    ),
    Example("tower", str(_GRADIO / "tower.jpg"), "Sights", "tower", "unknown", _FROM_GRADIO),
    Example("rocket", str(_SKIMAGE / "rocket.jpg"), "Vehicles", "rocket", "SpaceX", "public domain"),
    Example("astronaut", str(_SKIMAGE / "astronaut.png"), "Clothes", "spacesuit", "NASA", "public domain"),
    Example(
        "motorcycle",
        str(_SKIMAGE / "motorcycle_left.png"),
        "Vehicles",
        "motorcycle",
        "Daniel Scharstein et al., Middlebury College (their stereo data of 2014)",
        "comes with scikit-image, whose licence is BSD-3-Clause",
    ),
    Example("running cheetah", str(_GRADIO / "cheetah.jpg"), "Animals", "cheetah", "unknown", _FROM_GRADIO),
    Example(
        "dahlia",
        str(_HERE / "dahlia.jpg"),
        "Plants",
        "dahlia",
        "vultilion, flickr.com/photos/vultilion/6056698931",
        "CC BY 2.0",
        recognised=False,
    ),
)

# Another version of a package may not have every file: what is missing is not offered.
EXAMPLES: tuple[Example, ...] = tuple(e for e in PHOTOGRAPHS if e.present)
