"""Pictures in webdataset's way: `0001.jpg` beside `0001.cls`, `0001.json` or `0001.txt`, which says the
class, in one tar or in many. `classes.txt` or `classnames.txt` says what classes that are numbers are called.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath, PurePosixPath

from demo_core.benchmark.folders import LayoutError, is_picture
from demo_core.benchmark.official import Words
from demo_core.benchmark.parts import parts
from demo_core.benchmark.trees import TAR, Tree

NAMES = ("classes.txt", "classnames.txt")
KEYS = ("cls", "label", "class_name", "class", "class_id")  # what a .json has the class under


def _from_json(text: str) -> str:
    """The class that a .json says; empty where it says none."""
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    known = said if isinstance(said, dict) else {"cls": said}
    return str(next((known[key] for key in KEYS if key in known), ""))


READ: dict[str, Callable[[str], str]] = {"cls": str.strip, "json": _from_json, "txt": str.strip}


@dataclass(frozen=True)
class Samples:
    """Pictures, the class that each has beside it, and what is said of the classes."""

    pictures: list[PurePosixPath]
    classes: list[str]
    words: Words


def samples_in(tree: Tree) -> Samples | None:
    """The pictures of the part to measure on; None where none has a class beside it. Raises LayoutError where
    only some have."""
    pictures = [name for name in tree.files if is_picture(name)]
    kinds = [*READ] if TAR in {_shard(tree.place / name).suffix.lower() for name in pictures} else ["cls"]
    beside: dict[PurePosixPath, dict[str, PurePosixPath]] = {_key(name): {} for name in pictures}
    for name in tree.files:
        if (kind := name.name.partition(".")[2].lower()) in kinds and _key(name) in beside:
            beside[_key(name)][kind] = name
    if not any(beside.values()):
        return None
    chosen = parts(pictures, _shard)[0]
    said = [_said(tree, beside[_key(picture)]) for picture in chosen]
    if "" in said:
        bare = chosen[said.index("")]
        raise LayoutError(f"{bare} in {tree.place.name} has no class beside it, as others have")
    lists = [name for name in tree.files if name.name.lower() in NAMES]
    return Samples(chosen, said, Words(set(said), tree.lines(lists[0]) if lists else (), from_zero=True))


def _said(tree: Tree, files: dict[str, PurePosixPath]) -> str:
    """The class that the first of these files that says one says; empty where none does."""
    return next(filter(None, (READ[kind](tree.text(files[kind])) for kind in READ if kind in files)), "")


def _key(name: PurePosixPath) -> PurePosixPath:
    """What the files of a sample have in common."""
    return name.with_name(name.name.partition(".")[0] or name.name)


def _shard(name: PurePath) -> PurePath:
    """The tar that a file lies in; its folder where it lies in none."""
    return next((above for above in name.parents if above.suffix.lower() == TAR), name.parent)
