"""Archives of photographs as piles for the benchmark, with the names that each set's classes are asked for
by."""

from __future__ import annotations

from pathlib import Path

from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from demo_core.benchmark.piles import Pile, held
from demo_core.embedded.photographs import read_archive
from demo_core.embedded.recognise import PROMPTS, names_of
from demo_core.embedded.vocabulary import imagenet_ids, imagenet_labels
from demo_core.labels import DEFAULT_TEMPLATE


def read_pile(path: Path, limit: int | None = None, seed: int = 0, side: int = 224) -> Pile:
    """The photographs of an archive, as many as `limit`, with the names of all their set's classes: those of
    ImageNet where the folders are its wnids."""
    found = read_archive(path, side, limit, seed)
    if set(found.classes) <= set(imagenet_ids()):
        labels = imagenet_labels(found.classes)[found.labels]
        return held(found.pictures, labels, IMAGENET_CLASSNAMES, template=DEFAULT_TEMPLATE)
    return held(
        found.pictures,
        found.labels,
        names_of(path.stem, found.classes),
        template=PROMPTS.get(path.stem, DEFAULT_TEMPLATE),
    )
