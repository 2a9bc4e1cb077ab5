"""Which part of a data set is measured on, where its files say of which they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import PurePath
from typing import TypeVar

PARTS = ("test", "val", "valid", "validation")  # the first of these that is there is the one to measure on
OTHER = ("train", "training")
_PART = re.compile(rf"(?:^|[^a-z])({'|'.join((*PARTS, *OTHER))})(?![a-z])")

Path = TypeVar("Path", bound=PurePath)


def part_of(path: PurePath) -> str:
    """The part that a path speaks of, the last word of it counting; empty where it speaks of none."""
    return ["", *_PART.findall(path.as_posix().lower())][-1]


def parts(paths: Iterable[Path], spoken: Callable[[Path], PurePath] = lambda path: path) -> list[list[Path]]:
    """Files by their part, the one to measure on first, those of training last. spoken: what of a file's
    path speaks of its part."""
    found: dict[str, list[Path]] = {}
    for path in paths:
        found.setdefault(part_of(spoken(path)), []).append(path)
    return [found[part] for part in (*PARTS, "", *OTHER) if part in found]
