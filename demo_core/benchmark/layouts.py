"""A data set as a folder a class, or a zip of that: how most people have one that is not laid out as
torchvision leaves it.

Under a data set's own name beside the others, say `data/OxfordPets/Abyssinian/1.jpg` or
`data/OxfordPets.zip`, which is read in place. One folder around all is looked into, and one called test, val
or validation where there are several parts. The folders are the classes' names in any spelling, their
numbers, or ImageNet's wnids; their order is the official one: that of a file `classes.txt` beside them, of
the table's own list, or else of the alphabet, whatever the case.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from demo_core.benchmark.folders import LayoutError, Listed, hidden, is_picture, no_picture
from demo_core.pictures import FORMATS, open_picture

ORDER = "classes.txt"
PARTS = ("test", "val", "validation")  # the first of these that is there is the one to measure on
ZIP = ".zip"


@dataclass(frozen=True)
class Tree:
    """Files in a folder or a zip. names: their paths in it; folders: those of the folders; opened: such a
    path -> what PIL opens."""

    place: Path
    names: tuple[PurePosixPath, ...]
    folders: tuple[PurePosixPath, ...]
    opened: Callable[[PurePosixPath], Any]

    @staticmethod
    def of(place: Path) -> Tree:
        """Raises LayoutError where a zip is none."""
        if place.suffix.lower() != ZIP:
            found = {PurePosixPath(path.relative_to(place).as_posix()): path for path in place.rglob("*")}
            names = tuple(sorted(name for name, path in found.items() if path.is_file()))
            folders = tuple(name for name, path in found.items() if path.is_dir())
            return Tree(place, names, folders, lambda name: place / name)
        try:
            archive = zipfile.ZipFile(place)
        except (OSError, zipfile.BadZipFile) as error:
            raise LayoutError(f"{place.name} is no whole zip") from error
        names = tuple(sorted(PurePosixPath(name) for name in archive.namelist() if not name.endswith("/")))
        folders = tuple(PurePosixPath(name) for name in archive.namelist() if name.endswith("/"))
        return Tree(place, names, folders, lambda name: io.BytesIO(archive.read(str(name))))

    def text(self, name: PurePosixPath) -> str:
        file = self.opened(name)
        data: bytes = file.read_bytes() if isinstance(file, Path) else file.read()
        return data.decode("utf-8", "replace")


class InTree(Listed):
    """Pictures in a folder or a zip, with their labels; paths: as sentences call them."""

    def __init__(self, tree: Tree, names: Sequence[PurePosixPath], labels: Sequence[int]):
        super().__init__([tree.place / name for name in names], labels)
        self.tree, self.names = tree, names

    def source(self, index: int) -> Any:
        """What PIL opens: the file, or what a zip has of it."""
        return self.tree.opened(self.names[index])

    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]:
        with Image.open(self.source(index), formats=FORMATS) as picture:
            return open_picture(picture), self.labels[index]


def place_of(key: str, root: Path) -> Path | None:
    """Where a data set of this name lies under the root as a folder a class, or as a zip of that."""
    if not root.is_dir():
        return None
    wanted = {key.lower(), key.lower() + ZIP}
    found = sorted(path for path in root.iterdir() if path.name.lower() in wanted)
    return next(iter(found), None)


def classes_in(tree: Tree) -> tuple[dict[str, list[PurePosixPath]], list[str]]:
    """The pictures of each folder, and what a file ORDER says of the folders' order. Raises LayoutError."""
    names = [name for name in tree.names if not any(map(hidden, (name, *name.parents)))]
    inside = PurePosixPath()
    while len(tops := {name.relative_to(inside).parts[0] for name in names}) == 1 or _part(tops):
        step = inside / (_part(tops) or tops.pop())
        deeper = [name for name in names if step in name.parents]
        if not any(len(name.relative_to(step).parts) > 1 for name in deeper):
            break  # the folder of a class
        inside, names = step, deeper
    found: dict[str, list[PurePosixPath]] = {}
    for name in names:
        first, *rest = name.relative_to(inside).parts
        if rest:
            found.setdefault(first, []).append(name)
    if not found:
        raise LayoutError(f"{tree.place.name} has no folders in it")
    for folder in tree.folders:
        if folder.parent == inside and not hidden(folder) and folder.name not in found:
            raise no_picture(folder.name)
    pictures = {folder: [name for name in files if is_picture(name)] for folder, files in found.items()}
    if empty := next((folder for folder, files in pictures.items() if not files), None):
        raise no_picture(empty, found[empty][0].name)
    order = inside / ORDER
    said = tree.text(order).splitlines() if order in tree.names else []
    return pictures, [line.strip() for line in said if line.strip()]


def _part(tops: set[str]) -> str | None:
    by_name = {top.lower(): top for top in tops}
    return next((by_name[part] for part in PARTS if part in by_name), None)


def spelling(name: str) -> str:
    """What two spellings of a class have in common."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def opened(
    place: Path, named: Callable[[str], str], official: Sequence[Sequence[str]] = ()
) -> tuple[InTree, list[str]]:
    """The pictures, and the names of all classes in their order. named: a folder's name -> the class's.
    official: what each class may be called as a folder, its name in prompts first; the classes are these, in
    this order, where it is given. Raises LayoutError."""
    tree = Tree.of(place)
    pictures, order = classes_in(tree)
    numbered = official and all(folder.isdecimal() for folder in pictures)
    if official:
        names = [spellings[0] for spellings in official]
    else:
        folders = order or sorted(pictures, key=lambda folder: (folder.casefold(), folder))
        names, official = [named(folder) for folder in folders], [(folder,) for folder in folders]
    known = {spelling(one): label for label, spellings in enumerate(official) for one in spellings}
    labels = {folder: known.get(spelling(folder), -1) for folder in pictures}
    if numbered:
        first = 0 if any(int(folder) == 0 for folder in pictures) else 1
        labels = {folder: int(folder) - first for folder in pictures}
    if strange := next((folder for folder, label in labels.items() if not 0 <= label < len(names)), None):
        raise LayoutError(f"“{strange}” in {place.name} is none of its {len(names)} classes")
    rows = [(name, labels[folder]) for folder, files in pictures.items() for name in files]
    rows.sort(key=lambda row: (row[1], row[0]))
    return InTree(tree, [name for name, _ in rows], [label for _, label in rows]), names
