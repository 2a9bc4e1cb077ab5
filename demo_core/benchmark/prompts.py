"""The words that classes are asked for by: the names and the one prompt of the paper's code, or the names and
the prompts that CLIP's authors published for each set, whose text features are averaged.

CLIP's are those of github.com/openai/CLIP: data/prompts.md, and for ImageNet the notebook on its prompts,
which open_clip carries. They have none for Caltech256, Tiny ImageNet and a folder of one's own: there the
names stay as they are, and the prompts are the 80 of ImageNet.
"""

from __future__ import annotations

from collections.abc import Sequence

from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

from demo_core.benchmark.official import classes

NAMES = {
    "paper": "classes are named as in the paper’s code",
    "clip": "classes have the names that CLIP’s authors published",
}
PROMPTS = {
    "paper": "one prompt a set, as in the paper’s code",
    "clip": "prompts are those that CLIP’s authors published for the set, their features averaged",
}
OF_ANYTHING = tuple(str(template("{}")) for template in OPENAI_IMAGENET_TEMPLATES)


def _a_and_the(*templates: str) -> tuple[str, ...]:
    """Each template of a thing, then each of the thing."""

    def of_the(one: str) -> str:
        head, tail = one.split("{}")
        return "the ".join(head.rsplit("a ", 1)) + "{}" + tail

    return (*templates, *map(of_the, templates))


_SMALL = _a_and_the(
    "a photo of a {}.",
    "a blurry photo of a {}.",
    "a black and white photo of a {}.",
    "a low contrast photo of a {}.",
    "a high contrast photo of a {}.",
    "a bad photo of a {}.",
    "a good photo of a {}.",
    "a photo of a small {}.",
    "a photo of a big {}.",
)
_ART = _a_and_the(
    "a photo of a {}.",
    "a painting of a {}.",
    "a plastic {}.",
    "a sculpture of a {}.",
    "a sketch of a {}.",
    "a tattoo of a {}.",
    "a toy {}.",
    "a rendition of a {}.",
    "a embroidered {}.",
    "a cartoon {}.",
    "a {} in a video game.",
    "a plushie {}.",
    "a origami {}.",
    "art of a {}.",
    "graffiti of a {}.",
    "a drawing of a {}.",
    "a doodle of a {}.",
)
_PHOTO = _a_and_the("a photo of a {}.")

TEMPLATES: dict[str, tuple[str, ...]] = {
    "CIFAR10": _SMALL,
    "CIFAR100": _SMALL,
    "STL10": _PHOTO,
    "Caltech101": _ART,
    "OxfordPets": ("a photo of a {}, a type of pet.",),
    "Flowers102": ("a photo of a {}, a type of flower.",),
    "FGVCAircraft": _a_and_the("a photo of a {}, a type of aircraft."),
    "StanfordCars": (
        *_PHOTO,
        "a photo of my {}.",
        "i love my {}!",
        "a photo of my dirty {}.",
        "a photo of my clean {}.",
        "a photo of my new {}.",
        "a photo of my old {}.",
    ),
    "SUN397": _PHOTO,
    "Country211": (
        "a photo i took in {}.",
        "a photo i took while visiting {}.",
        "a photo from my home country of {}.",
        "a photo from my visit to {}.",
        "a photo showing the country of {}.",
    ),
    "Food101": ("a photo of {}, a type of food.",),
    "EuroSAT": (
        "a centered satellite photo of {}.",
        "a centered satellite photo of a {}.",
        "a centered satellite photo of the {}.",
    ),
    "DTD": tuple(
        f"a photo of {article} {{}} {thing}."
        for article in ("a", "the")
        for thing in ("texture", "pattern", "thing", "object")
    ),
    "PCAM": ("this is a photo of {}",),
}


def names_of(key: str, names: Sequence[str]) -> tuple[str, ...]:
    """CLIP's authors' names of a set's classes, in the official order; the paper's where they have none.
    names: the paper's, of all classes."""
    theirs = [row.clip for row in classes(key)] or [""] * len(names)
    return tuple(their or name for their, name in zip(theirs, names, strict=True))


def templates_of(key: str) -> tuple[str, ...]:
    """CLIP's authors' prompts for a set, with {} for the name of a class."""
    return TEMPLATES.get(key, OF_ANYTHING)
