"""Pictures in folders, a folder a class, as they lie on people's disks: among hidden files, under any ending
that can be read, and opened as the Lab opens a picture."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any

from PIL import Image

from demo_core.pictures import FORMATS, open_picture

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
    return not hidden(path) and Image.registered_extensions().get(path.suffix.lower()) in readable()


def readable() -> list[str]:
    """The formats that a data set's pictures may have: those of the Lab, and others that need no program
    beside Pillow, where it was built with them."""
    return [kind for kind in (*FORMATS, "AVIF", "JPEG2000", "PPM") if kind in Image.OPEN]


def folders_in(root: Path) -> list[Path]:
    """The folders of the classes, in the order of their names. Raises LayoutError where there are none,
    FileNotFoundError where there is no such place."""
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}")
    found = sorted(path for path in root.iterdir() if path.is_dir() and not hidden(path))
    if not found:
        raise LayoutError(f"{root} has no folders in it")
    return found


def files_below(root: Path) -> Iterator[tuple[Path, bool]]:
    """All files and folders below a folder, hidden ones left out, each with whether it is a folder; links are
    followed, but not round in a circle. Of a cache of the Hugging Face Hub the revision that is its main."""
    for folder, folders, files in os.walk(root, followlinks=True):
        here = Path(folder)
        around = {os.path.realpath(above) for above in (here, *here.parents) if above.is_relative_to(root)}
        kept = _of_main(here, sorted(name for name in folders if not hidden(Path(name))))
        folders[:] = [name for name in kept if os.path.realpath(here / name) not in around]
        yield from ((here / name, True) for name in folders)
        yield from ((here / name, False) for name in sorted(files) if not hidden(Path(name)))


def _of_main(folder: Path, names: list[str]) -> list[str]:
    """Of the revisions that the hub's cache has in a folder the main one; of any other folder all."""
    main = folder.parent / "refs" / "main"
    if folder.name != "snapshots" or not main.is_file():
        return names
    return [name for name in names if name == main.read_text(encoding="utf-8").strip()] or names


def pictures_in(folder: Path) -> list[Path]:
    """The pictures in a folder and in all below it, in the order of their paths. Raises LayoutError where
    there are none."""
    files = sorted(path for path, is_folder in files_below(folder) if not is_folder)
    found = [path for path in files if is_picture(path)]
    if not found:
        raise no_picture(folder.name, *(path.name for path in files[:1]))
    return found


def read(source: Any) -> Image.Image:
    """A picture as the Lab reads one; source: what PIL opens. Raises what PIL raises, and PictureError."""
    with Image.open(source, formats=readable()) as picture:
        return open_picture(picture)


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
        return read(self.source(index)), self.labels[index]


def relisted(found: Any) -> Any:
    """A data set of torchvision that keeps files, read as the Lab reads pictures; one that keeps arrays as it
    is."""
    for name in ("samples", "_samples", "_image_files", "_images"):
        if rows := getattr(found, name, None):
            paired = isinstance(rows[0], tuple)
            paths, labels = zip(*rows) if paired else (rows, found._labels)
            return Listed([Path(path) for path in paths], list(labels))
    return found


def listed(classes: Sequence[Path]) -> Listed:
    """All pictures of these folders, each folder a class. Raises LayoutError."""
    rows = [(path, label) for label, folder in enumerate(classes) for path in pictures_in(folder)]
    return Listed([path for path, _ in rows], [label for _, label in rows])


def path_of(found: Any, index: int) -> Path | None:
    """The file of a data set's picture, where the data set keeps files."""
    return found.paths[index] if isinstance(found, Listed) else None
