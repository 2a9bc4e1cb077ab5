"""Files in a folder, a zip or a tar, under one hand: all are read in place. A tar that lies in a folder is a
folder of it."""

from __future__ import annotations

import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from demo_core.benchmark.folders import LayoutError, Listed, files_below, hidden
from demo_core.benchmark.official import spelling

ZIP, TAR = ".zip", ".tar"
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")  # these cannot be read in place
Opened = Callable[[], Any]  # what PIL opens: a path, or a file in memory


@dataclass(frozen=True)
class Tree:
    """Files in a place. files: by their paths in it, how each is opened, in the order of the paths; folders:
    the paths of the folders. Hidden ones are left out."""

    place: Path
    files: dict[PurePosixPath, Opened]
    folders: tuple[PurePosixPath, ...]

    @staticmethod
    def of(place: Path) -> Tree:
        """Raises LayoutError where a zip or a tar is none."""
        found = dict(_contents(place))
        seen = {name: opened for name, opened in found.items() if not any(map(hidden, (name, *name.parents)))}
        files = {name: opened for name, opened in sorted(seen.items()) if opened}
        return Tree(place, files, tuple(name for name, opened in seen.items() if not opened))

    def without(self, words: Collection[str]) -> Tree:
        """Without folders of these spellings, and what is in them."""

        def kept(name: PurePosixPath) -> bool:
            return not any(spelling(part) in words for part in name.parts)

        files = {name: opened for name, opened in self.files.items() if kept(name)}
        return Tree(self.place, files, tuple(filter(kept, self.folders)))

    def text(self, name: PurePosixPath) -> str:
        """A file that is text."""
        file = self.files[name]()
        data: bytes = file.read_bytes() if isinstance(file, Path) else file.read()
        return data.decode("utf-8", "replace")

    def lines(self, name: PurePosixPath) -> list[str]:
        """The lines of a file that is text, without empty ones."""
        return [line.strip() for line in self.text(name).splitlines() if line.strip()]


class InTree(Listed):
    """Pictures in a folder, a zip or a tar, with their labels; paths: as sentences call them."""

    def __init__(self, tree: Tree, names: Sequence[PurePosixPath], labels: Sequence[int]):
        super().__init__([tree.place / name for name in names], labels)
        self.tree, self.names = tree, names

    def source(self, index: int) -> Any:
        """What PIL opens: the file, or what an archive has of it."""
        return self.tree.files[self.names[index]]()


def _contents(place: Path) -> Iterator[tuple[PurePosixPath, Opened | None]]:
    """The files of a place, and its folders with None."""
    kind = place.suffix.lower()
    if place.name.lower().endswith(COMPRESSED):
        raise LayoutError(f"{place.name} is compressed, and is read only when it is unpacked")
    if kind == ZIP:
        yield from _zipped(place)
    elif kind == TAR:
        yield from _tarred(place)
    else:
        for path, is_folder in files_below(place):
            name = PurePosixPath(path.relative_to(place).as_posix())
            if path.suffix.lower() == TAR and not is_folder:
                yield from ((name / inner, opened) for inner, opened in _tarred(path))
            else:
                yield name, None if is_folder else partial(Path, path)


def _zipped(place: Path) -> Iterator[tuple[PurePosixPath, Opened | None]]:
    try:
        archive = zipfile.ZipFile(place)
    except (OSError, zipfile.BadZipFile) as error:
        raise LayoutError(f"{place.name} is no whole zip") from error
    for name in archive.namelist():
        opened = partial(_from_zip, archive, name)
        yield PurePosixPath(name), None if name.endswith("/") else opened


def _from_zip(archive: zipfile.ZipFile, name: str) -> io.BytesIO:
    """Raises OSError where the zip is damaged there, or asks for a password."""
    try:
        return io.BytesIO(archive.read(name))
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise OSError(str(error)) from error


def _tarred(place: Path) -> Iterator[tuple[PurePosixPath, Opened | None]]:
    """Only where each file begins is kept, so that readers do not wait for each other."""
    try:
        with tarfile.open(place, "r:") as archive:
            members = archive.getmembers()
    except (OSError, tarfile.TarError) as error:
        raise LayoutError(f"{place.name} is no whole tar without compression") from error
    for member in members:
        opened = partial(_from_tar, place, member.offset_data, member.size)
        if member.isfile() or member.isdir():
            yield PurePosixPath(member.name), opened if member.isfile() else None


def _from_tar(place: Path, begin: int, size: int) -> io.BytesIO:
    with place.open("rb") as file:
        file.seek(begin)
        return io.BytesIO(file.read(size))
