"""Pictures in parquet files, as the Hugging Face Hub keeps them and its cache has them, or in the Arrow files
that the package `datasets` makes of them: a column of encoded pictures and one of classes, which the file's
own description of its columns says which are.

A file is written in groups of rows, and a group has to be read as a whole. So each that is asked for is read
once, and its pictures are laid down in a file that goes with the program, where every later one is found.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from demo_core.benchmark.folders import LayoutError, Listed, files_below
from demo_core.benchmark.official import Words, labelled
from demo_core.benchmark.parts import parts

PARQUET, ARROW = ".parquet", ".arrow"
LABELS = ("label", "fine_label", "labels", "cls")  # the column of classes, where several could be


@dataclass(frozen=True)
class Columns:
    """Which columns of a file have the pictures and the classes, and what the classes are called; no names
    where nothing says it."""

    picture: str
    label: str
    names: tuple[str, ...]


def files_in(place: Path) -> list[Path]:
    """The parquet files in a folder, or where it has none its Arrow files; or the one that it is."""
    below = [path for path, is_folder in files_below(place) if not is_folder] if place.is_dir() else [place]
    for kind in (PARQUET, ARROW):
        if found := sorted(path for path in below if path.suffix.lower() == kind):
            return found
    return []


def opened(
    key: str, place: Path, files: Sequence[Path], named: Callable[[str], str]
) -> tuple[Listed, list[str]]:
    """The pictures of the first part that has classes, and the names of all classes in their order (see
    demo_core.benchmark.official). Raises LayoutError."""
    for part in parts(files, lambda path: path.relative_to(place.parent)):
        tables = [_reader(path) for path in part]
        columns = _columns(tables[0], place.name)
        read = [table.read(columns=[columns.label]).column(0).to_pylist() for table in tables]
        flat = [str(label) for labels in read for label in labels]
        if len(folders := {path.parent.name for path in part}) > 1:
            raise LayoutError(f"{place.name} holds several sets in one: {' and '.join(sorted(folders))}")
        if flat and not {*flat} <= {"-1", "None"}:  # the hub's way to say that a part’s classes are secret
            words = Words(set(flat), columns.names, from_zero=True)
            names, labels = labelled(key, place.name, words, named)
            return InParquet(part, tables, columns.picture, [labels.get(word) for word in flat]), names
    raise LayoutError(f"{place.name} has no row with a class")


def _reader(path: Path) -> Any:
    """Raises LayoutError."""
    try:
        from pyarrow import ArrowInvalid, ipc, memory_map, parquet
    except ImportError:
        raise LayoutError("parquet files need one more package: pip install pyarrow") from None
    is_arrow = path.suffix.lower() == ARROW
    try:
        return Stream(ipc.open_stream(memory_map(str(path)))) if is_arrow else parquet.ParquetFile(path)
    except (OSError, ArrowInvalid) as error:
        raise LayoutError(f"{path.name} is no whole {path.suffix[1:].lower()} file") from error


class Stream:
    """An Arrow file under the hand of a parquet file, with its batches for groups."""

    def __init__(self, reader: Any):
        self.table, self.schema_arrow, self.metadata = reader.read_all(), reader.schema, self
        self.batches = self.table.to_batches()
        self.num_row_groups = len(self.batches)

    def read(self, columns: list[str]) -> Any:
        return self.table.select(columns)

    def row_group(self, group: int) -> Any:
        return self.batches[group]

    def read_row_group(self, group: int, columns: list[str]) -> Any:
        return self.batches[group].select(columns)


def _columns(table: Any, where: str) -> Columns:
    """By what the file says of itself, or else by what columns hold. Raises LayoutError."""
    described = json.loads((table.schema_arrow.metadata or {}).get(b"huggingface", b"{}"))
    kinds = described.get("info", {}).get("features", {})
    names, schema = table.schema_arrow.names, table.schema_arrow

    def holds_files(name: str) -> bool:
        kind = str(schema.field(name).type)
        return kind in ("binary", "large_binary") or kind.startswith("struct<bytes: binary")

    pictures = [n for n in names if kinds.get(n, {}).get("_type") == "Image"] or [*filter(holds_files, names)]
    classes = [n for n in names if kinds.get(n, {}).get("_type") == "ClassLabel"]
    labels = [n for n in LABELS if n in (classes or names)] + classes
    if not pictures or not labels:
        raise LayoutError(
            f"{where} has no column of {'classes' if pictures else 'pictures'}: {', '.join(names)}"
        )
    return Columns(pictures[0], labels[0], tuple(kinds.get(labels[0], {}).get("names", ())))


class InParquet(Listed):
    """Pictures in parquet files, with the labels of all rows, None of one that is left out; paths: as
    sentences call them, by file and row."""

    def __init__(
        self, files: Sequence[Path], tables: Sequence[Any], column: str, labels: Sequence[int | None]
    ):
        self.tables, self.column, self.rows = tables, column, list[tuple[int, int, int]]()
        paths, kept, begin = [], [], 0
        every = iter(labels)
        for number, table in enumerate(tables):
            begin = 0
            for group in range(table.num_row_groups):
                size = table.metadata.row_group(group).num_rows
                for row, label in zip(range(size), every):
                    if label is not None:
                        self.rows.append((number, group, row))
                        paths.append(files[number] / f"row {begin + row}")
                        kept.append(label)
                begin += size
        super().__init__(paths, kept)
        self.lock, self.laid = Lock(), tempfile.TemporaryFile()
        self.spans: dict[tuple[int, int], list[tuple[int, int]]] = {}

    def source(self, index: int) -> io.BytesIO:
        """What PIL opens: a picture's file in memory. Raises ValueError where the row has none."""
        number, group, row = self.rows[index]
        with self.lock:
            if (number, group) not in self.spans:
                self.spans[number, group] = self._lay_down(number, group)
            begin, size = self.spans[number, group][row]
            self.laid.seek(begin)
            data = self.laid.read(size)
        if not data:
            raise ValueError("its row has no picture in it")
        return io.BytesIO(data)

    def _lay_down(self, number: int, group: int) -> list[tuple[int, int]]:
        """Where each picture of a group begins in the file beside, and its size."""
        spans, begin = [], self.laid.seek(0, io.SEEK_END)
        for value in self.tables[number].read_row_group(group, columns=[self.column]).column(0).to_pylist():
            data = (value.get("bytes") if isinstance(value, dict) else value) or b""
            spans.append((begin, self.laid.write(data)))
            begin += len(data)
        return spans
