"""A data set's pictures as a benchmark works through them: chosen, resized, in batches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from demo_core.benchmark import layouts
from demo_core.benchmark.datasets import DATASETS, OWN, Dataset, Opened, Pictures
from demo_core.benchmark.folders import LayoutError, Listed, path_of, readable
from demo_core.benchmark.prompts import NAMES, PROMPTS, names_of, templates_of
from demo_core.clip import Template, templates_in
from demo_core.labels import DEFAULT_TEMPLATE
from demo_core.pictures import PictureError
from demo_core.resizes import OF_MANY, PAPER, RESIZES, Resize, fitted

ARRAYS = "arrays"  # as torchvision keeps some sets
READERS = 8  # threads that read and decode pictures
# What PIL raises where a file is broken, or has so many pixels that it may be meant to fill the memory.
UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)


class DatasetUnavailable(RuntimeError):
    """A data set cannot be had here. The message is one sentence that says what to do."""


@dataclass(frozen=True)
class Ways:
    """How pictures and classes are put before a model: by which resize, under whose names (NAMES), in whose
    prompts (PROMPTS). The paper's, where nothing else is said."""

    resize: Resize = PAPER
    names: str = PAPER.title
    prompts: str = PAPER.title

    @property
    def departures(self) -> dict[str, str]:
        """Those that are not the paper's, by their names in WAYS: what records keep of them."""
        chosen = {"resize": self.resize.title, "names": self.names, "prompts": self.prompts}
        return {way: choice for way, choice in chosen.items() if choice != PAPER.title}


# What there is to choose, and what each choice means in words.
WAYS = {"resize": {key: RESIZES[key].words for key in OF_MANY}, "names": NAMES, "prompts": PROMPTS}


def departures_in(fixed: Mapping[str, Any]) -> list[str]:
    """In words, what was not the paper's way. fixed: the "fixed" settings of records; what they do not name
    was the paper's."""
    return [words[fixed[way]] for way, words in WAYS.items() if way in fixed]


@dataclass(frozen=True)
class Batch:
    """Pictures [B,3,S,S] uint8 with their indices in the data set [B] and their labels [B]."""

    indices: torch.Tensor
    pictures: torch.Tensor
    labels: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> Batch:
        return Batch(self.indices[rows], self.pictures[rows], self.labels[rows])

    def __len__(self) -> int:
        return len(self.indices)


@dataclass(frozen=True)
class Pile:
    """Pictures of a data set: what a benchmark works through.

    indices [N]: theirs in the data set, of `size` pictures; names of all its K classes; template: the prompt,
    or the prompts; load: rows of the pile [B] -> Batch; source: what its pictures are read from, ARRAYS or a
    fingerprint of the list of their files, which `own` says are those of a folder of one's own; ways: how it
    was put together; left_out: the indices of pictures that could not be read, each with how many of the
    pile's come before it; file_of: index -> where a picture lies, None where the data set keeps no files.
    """

    indices: torch.Tensor
    names: tuple[str, ...]
    template: Template
    load: Callable[[torch.Tensor], Batch]
    size: int = 0
    source: str = ""
    own: bool = False
    ways: Ways = Ways()
    left_out: Mapping[int, int] = field(default_factory=dict)
    file_of: Callable[[int], Path | None] = lambda index: None

    @property
    def file_names(self) -> dict[str, str]:
        """By index, of the pictures that are files."""
        found = {index: self.file_of(index) for index in self.indices.tolist()}
        return {str(index): path.name for index, path in found.items() if path}

    def first(self, count: int) -> Pile:
        """The first so many of its pictures."""
        left_out = {index: before for index, before in self.left_out.items() if before < count}
        return replace(self, indices=self.indices[:count], left_out=left_out)

    @property
    def description(self) -> dict[str, int | str]:
        """What records of this data set have in common: its size, its classes and its prompt, its files."""
        found: dict[str, int | str] = {
            "size": self.size,
            "classes": len(self.names),
            "words": fingerprint((*templates_in(self.template), *self.names)),
        }
        return found | ({"files": self.source} if self.own else {})


def fingerprint(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def held(
    pictures: torch.Tensor,
    labels: torch.Tensor,
    names: Sequence[str],
    indices: torch.Tensor | None = None,
    template: Template = DEFAULT_TEMPLATE,
) -> Pile:
    """A pile of pictures [N,3,S,S] uint8 that are in memory already."""
    everything = Batch(torch.arange(len(labels)) if indices is None else indices, pictures, labels)
    return Pile(everything.indices, tuple(names), template, everything.__getitem__, len(labels))


def pile_of(
    key: str,
    root: Path,
    side: int,
    limit: int | None = None,
    seed: int = 0,
    download: bool = False,
    hint: str = ", or add --download",
    ways: Ways = Ways(),
    skip_unreadable: bool = False,
) -> Pile:
    """A data set of the table, or a folder of your own by its path: `limit` pictures of it chosen at random
    by the seed, or all. hint: what else helps where one that can be downloaded is not there.
    skip_unreadable: pictures that cannot be read are left out, and told. Raises DatasetUnavailable."""
    row, place = (DATASETS[key], root) if key in DATASETS else (OWN, Path(key))
    try:
        found, names = _opened(key, row, place, download and not row.by_hand)
    except Exception as error:  # torchvision, the download and the file formats raise many kinds
        advice = "" if row.by_hand or download else hint
        failed = " could not be downloaded" if download and not row.by_hand else " is not there, or not whole"
        raise DatasetUnavailable(
            f"{row.title}{failed} ({cause(error)}): {_remedy(key, row, place)}{advice}."
        ) from error
    if row.classes and len(names) != row.classes:
        raise DatasetUnavailable(
            f"{row.title} under {place} has {len(names)} classes instead of {row.classes}:"
            f" {_remedy(key, row, place)}."
        )
    if len(names) < 2:
        raise DatasetUnavailable(
            f"{row.title} under {place} has one class only, “{names[0]}”: put at least two folders there, as"
            " with one there is nothing to choose from."
        )
    chosen = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:limit]
    broken = _unreadable(found, order := chosen.tolist(), whole=skip_unreadable)
    if broken and not skip_unreadable:
        raise DatasetUnavailable(_damaged(row, place, found, *broken.popitem()))
    left_out = {index: at - n for n, (at, index) in enumerate(p for p in enumerate(order) if p[1] in broken)}
    chosen = torch.tensor([index for index in order if index not in broken], dtype=torch.long)
    if not len(chosen):
        raise DatasetUnavailable(f"{row.title} under {place} has no picture that can be read: replace them.")

    def one(index: int) -> tuple[torch.Tensor, int]:
        try:
            picture, label = found[index]
            return fitted(picture, side, row.whole, ways.resize), label
        except UNREADABLE as error:
            raise DatasetUnavailable(_damaged(row, place, found, index, error)) from error

    def load(rows: torch.Tensor) -> Batch:
        with ThreadPoolExecutor(READERS) as pool:
            pictures, labels = zip(*pool.map(one, chosen[rows].tolist()))
        return Batch(chosen[rows], torch.stack(pictures), torch.tensor(labels))

    words, template = _words(key, row, names, ways)
    origin, own, file_of = _source(found), row is OWN, partial(path_of, found)
    return Pile(chosen, words, template, load, len(found), origin, own, ways, left_out, file_of)


def _source(found: Pictures) -> str:
    """A data set that is kept in another way may have other pictures under the same indices."""
    if not isinstance(found, Listed):
        return ARRAYS
    return fingerprint("/".join(path.parts[-2:]) for path in found.paths)


def _words(key: str, row: Dataset, names: Sequence[str], ways: Ways) -> tuple[tuple[str, ...], Template]:
    """The names of a set's classes, and its prompt or prompts. names: the paper's."""
    theirs = names_of(key, names) if ways.names != PAPER.title else tuple(names)
    return theirs, templates_of(key) if ways.prompts != PAPER.title else row.template


def _remedy(key: str, row: Dataset, place: Path) -> str:
    """What to do about a data set that cannot be read."""
    other = "" if row is OWN else f", or its pictures with a folder a class into {place / key}"
    return f"put {row.layout} into {place}{other}"


def _opened(key: str, row: Dataset, place: Path, download: bool) -> Opened:
    """A data set as torchvision leaves it; or else as a folder a class, or a zip of that. Raises of many
    kinds, by what is the matter with the one that is there."""
    try:
        return row.open(place, download)
    except Exception as error:
        other = None if row is OWN or download else layouts.place_of(key, place, _beside(row))
        if other is None or (isinstance(error, LayoutError) and _same(other, row)):
            raise
        found, names = layouts.opened(key, other, row.named)
        if _same(other, row) and len(names) != row.classes:
            raise
        return found, names


def _same(other: Path, row: Dataset) -> bool:
    """Whether it is where torchvision looks, too."""
    return other.name.lower() == _beside(row)


def _beside(row: Dataset) -> str:
    """The folder that torchvision looks into."""
    return row.layout.split("/")[0].lower()


def cause(error: BaseException) -> str:
    """What went wrong, in a few words: the first sentence of what was said."""
    if isinstance(error, PictureError) and error.__cause__:
        error = error.__cause__
    said = " ".join(str(error).split()).split(". ")[0].rstrip(".")
    return said[:200] or type(error).__name__


def _unreadable(found: Pictures, indices: Sequence[int], whole: bool) -> dict[int, Exception]:
    """Which of these pictures cannot be read, and why, before hours are spent on the others. whole: each is
    decoded; otherwise the heads of files are looked at."""

    def why(index: int) -> Exception | None:
        try:
            if whole:
                found[index]
            elif isinstance(found, Listed):
                with Image.open(found.source(index), formats=readable()):
                    pass
        except UNREADABLE as error:
            return error
        return None

    with ThreadPoolExecutor(READERS) as pool:
        return {index: error for index, error in zip(indices, pool.map(why, indices)) if error}


def _damaged(row: Dataset, place: Path, found: Pictures, index: int, error: Exception) -> str:
    """What is said of a picture that cannot be read."""
    name = path_of(found, index) or f"Picture {index} of {row.title} under {place}"
    return (
        f"{name} cannot be read ({cause(error)}): replace it, take it away, or, on the command line, leave"
        " all such pictures out with --skip-unreadable."
    )
