"""Pictures in folders, a folder a class, as they lie on people's disks: among hidden files, under any ending
that can be read, and opened as the Lab opens a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image
from torch.utils.data import Subset

from demo_core.pictures import open_picture

NO_PICTURES = {"thumbs.db", "desktop.ini", "__macosx"}  # and whatever begins with a dot


class LayoutError(ValueError):
    """What is on the disk is no data set. The message says what is the matter, without a stop."""


def no_picture(folder: str, instead: str = "") -> LayoutError:
    """Of the folder of a class; instead: a file that it has."""
    return LayoutError(f"the folder “{folder}” has no picture in it{f', but {instead}' if instead else ''}")


def hidden(path: PurePath) -> bool:
    """Whether a file or folder is none that a person has put there: a program's, or a system's."""
    return path.name.startswith(".") or path.name.lower() in NO_PICTURES


def is_picture(path: PurePath) -> bool:
    """Whether a file's name is that of a picture, by any ending that can be read."""
    return not hidden(path) and Image.registered_extensions().get(path.suffix.lower()) in Image.OPEN


def folders_in(root: Path) -> list[Path]:
    """The folders of the classes, in the order of their names. Raises LayoutError where there are none,
    FileNotFoundError where there is no such place."""
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    found = sorted(path for path in root.iterdir() if path.is_dir() and not hidden(path))
    if not found:
        raise LayoutError(f"{root} has no folders in it")
    return found


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and in all below it, in the order of their paths. Raises LayoutError where
    there are none."""
    found = sorted(
        path
        for path in folder.rglob("*")
        if is_picture(path) and path.is_file() and not any(map(hidden, path.relative_to(folder).parents))
    )
    if not found:
        files = [path.name for path in folder.iterdir() if path.is_file() and not hidden(path)]
        raise no_picture(folder.name, *files[:1])
    return found


class Listed:
    """Pictures on disk by path, with their labels."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int]):
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.paths)

    def source(self, index: int) -> Any:
        """What PIL opens: the file."""
        return self.paths[index]

    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]:
        return open_picture(self.paths[index]), self.labels[index]


def listed(classes: Sequence[Path]) -> Listed:
    """All pictures of these folders, each folder a class. Raises LayoutError."""
    rows = [(path, label) for label, folder in enumerate(classes) for path in pictures_in(folder)]
    return Listed([path for path, _ in rows], [label for _, label in rows])


def path_of(found: Any, index: int) -> Path | None:
    """The file of a data set's picture, where the data set keeps files: ours do, and torchvision's under one
    of these names."""
    if isinstance(found, Subset):
        return path_of(found.dataset, found.indices[index])
    for name in ("paths", "samples", "_samples", "_image_files", "_images"):
        if rows := getattr(found, name, None):
            row = rows[index]
            return Path(row[0] if isinstance(row, tuple) else row)
    return None
