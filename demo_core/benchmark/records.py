"""Records on disk: SQLite files, one for each process that writes, so that none ever waits for another.

A file has two tables. `records`: a row for each picture, attack and defence, which with the data set are its
key, so that none can be there twice. `settings`: what the rows were made under, a row a setting, its value as
JSON; kind "fixed" is what all records of a folder share, any other kind, say "defenses", holds what may
join later. A batch is one transaction: a process that is killed loses the batch it was working on and nothing
else.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout

from demo_core.benchmark.trials import BenchmarkError

COLUMNS = "dataset index label attack defense predicted forward backward milliseconds".split()
KEY = ["dataset", "attack", "defense", "index"]
COSTS = ["forward", "backward", "milliseconds"]
# What follows from the key and the settings; costs differ from run to run.
ANSWER = ["label", "predicted"]
PATIENCE = 60.0  # seconds that a reader waits for a writer who is just committing
FIXED = "fixed"
FILES_OF = "files of "  # and a data set: the kind of setting that names its pictures, by index
LEFT_OUT_OF = "left out of "  # and a data set: the kind that has the indices that could not be read

TABLES = (
    """CREATE TABLE IF NOT EXISTS settings (
        kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (kind, name)
    ) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS records (
        dataset TEXT NOT NULL, picture INTEGER NOT NULL, label INTEGER NOT NULL, attack TEXT NOT NULL,
        defense TEXT NOT NULL, predicted INTEGER NOT NULL, forward REAL NOT NULL, backward REAL NOT NULL,
        milliseconds REAL NOT NULL, PRIMARY KEY (dataset, attack, defense, picture)
    ) WITHOUT ROWID""",
)
GROUPS = "SELECT dataset, attack, defense, count(*) FROM records GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
NUMBERS = (
    "SELECT picture, label, predicted, forward, backward, milliseconds FROM records"
    " ORDER BY dataset, attack, defense, picture"
)
AT_ONCE = 20_000  # records that are held as Python's own numbers

Settings = dict[str, dict[str, Any]]  # by kind, then by name


class Records:
    """A folder of records, and in it the file that this process writes, records-N.sqlite.

    settings: what all records share; joining: dicts of what may join later, say "defenses": what each was set
    to. process: N, the number of the one that writes. Raises BenchmarkError where the folder holds records
    made otherwise, or records without the settings that they were made under.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], joining: Settings | None = None, process: int = 0
    ):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.path = folder, folder / f"records-{process}.sqlite"
        new = json.loads(json.dumps({FIXED: settings} | (joining or {})))
        if (files := _files(folder)) and not agree(_joined_settings(files), new):
            raise BenchmarkError(
                f"{folder} holds records of other settings, weights, data or defences: choose another"
                " --out, or delete it."
            )
        _write(self.path, new, ())

    def read(self) -> pd.DataFrame:
        """All records so far, of every process: COLUMNS."""
        return read_records(self.folder)

    def done(self, dataset: str) -> dict[tuple[str, str], set[int]]:
        """Which pictures of a data set have a record, of whatever process: their indices by attack and
        defence."""
        found: dict[tuple[str, str], set[int]] = {}
        for path in _files(self.folder):
            with _opened(path) as file:
                query = "SELECT attack, defense, picture FROM records WHERE dataset = ?"
                for attack, defense, picture in file.execute(query, [dataset]):
                    found.setdefault((attack, defense), set()).add(picture)
        return found

    def of(self, dataset: str, attack: str) -> pd.DataFrame:
        """Those of one data set and attack, of every process: COLUMNS."""
        found: list[tuple[Any, ...]] = []
        for path in _files(self.folder):
            with _opened(path) as file:
                query = "SELECT * FROM records WHERE dataset = ? AND attack = ?"
                found += file.execute(query, [dataset, attack])
        return pd.DataFrame(found, columns=COLUMNS).drop_duplicates(KEY)

    def append(self, rows: pd.DataFrame) -> None:
        """Add records, all of them or none; one that this file has already stays as it is. On disk when this
        returns."""
        _write(self.path, {}, rows[COLUMNS].itertuples(index=False, name=None))


def read_records(place: Path) -> pd.DataFrame:
    """All records in a folder, of every process that wrote, or those of one file: COLUMNS, in the order of
    their keys. Raises BenchmarkError where two of them contradict each other, or where it is not known what
    they were made under."""
    files = _files(place)
    _joined_settings(files)
    return _joined_records(files)


def settings_of(place: Path) -> Settings:
    """What the records in a folder, or in one file, were made under, by kind. Raises BenchmarkError where
    that is not written down, or where it is of several runs."""
    return _joined_settings(_files(place))


def has_records(place: Path) -> bool:
    """Whether a folder, or a file, has any."""
    return any(map(_filled, _files(place)))


def merge(places: Iterable[Path], target: Path) -> pd.DataFrame:
    """The records of several files, or folders of files, which are written into one, in place of what is
    there. Raises BenchmarkError, and leaves the target as it was, where they do not belong together."""
    files = [file for place in places for file in _files(place)]
    settings, records = _joined_settings(files), _joined_records(files)
    write_as_one(target, settings, records)
    return records


def write_as_one(target: Path, settings: Settings, records: pd.DataFrame) -> None:
    """A file of records, in place of what is there."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    _write(part, settings, records[COLUMNS].itertuples(index=False, name=None))
    part.replace(target)


@contextmanager
def alone_in(folder: Path, process: int = 0, others: bool = False) -> Iterator[None]:
    """Meanwhile nobody else writes what this process writes into the folder. others: some may be there that
    it was not started with; where none may, the first process sees to that. A page enters
    this on one thread and leaves it on another. Raises BenchmarkError where somebody else writes."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = partial(FileLock, timeout=0, thread_local=False)
    try:
        for other in folder.glob("lock-*") if process == 0 and not others else ():
            with lock(other):
                pass
        with lock(folder / f"lock-{process}"):
            yield
    except Timeout:
        raise BenchmarkError(
            f"Another run is writing into {folder}: wait for it, or, on the command line, choose another"
            " --out."
        ) from None


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection; what is begun on it is committed as a whole, or not at all."""
    try:
        with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as file, file:
            yield file
    except sqlite3.DatabaseError as error:
        raise BenchmarkError(
            f"{path} cannot be used as a file of records ({error}): make room for it, or move it away."
        ) from error


def _write(path: Path, settings: Settings, rows: Iterable[tuple[Any, ...]]) -> None:
    """Add settings and records (COLUMNS) to a file, which is made where it is not there: all or nothing."""
    named = [(kind, name, json.dumps(value)) for kind in settings for name, value in settings[kind].items()]
    with _opened(path) as file:
        file.execute("BEGIN IMMEDIATE")
        for table in TABLES:
            file.execute(table)
        file.executemany("INSERT INTO settings VALUES (?, ?, ?) ON CONFLICT DO NOTHING", sorted(named))
        marks = ", ".join("?" * len(COLUMNS))
        file.executemany(f"INSERT INTO records VALUES ({marks}) ON CONFLICT DO NOTHING", rows)


def _files(place: Path) -> list[Path]:
    """The files of records in a folder, or the one file. A process that was killed before its first
    transaction has left an empty one, which is none."""
    found = sorted(place.glob("records*.sqlite")) if place.is_dir() else [place] if place.exists() else []
    return [path for path in found if _begun(path)]


def _begun(path: Path) -> bool:
    with _opened(path) as file:
        return bool(file.execute("SELECT 1 FROM sqlite_master WHERE name = 'records'").fetchone())


def _filled(path: Path) -> bool:
    with _opened(path) as file:
        return bool(file.execute("SELECT 1 FROM records LIMIT 1").fetchone())


def agree(known: Settings, new: Settings) -> bool:
    """Whether records made under the one may stand beside those made under the other."""
    clashes = (
        known.get(kind, {}).get(name, value) != value for kind in new for name, value in new[kind].items()
    )
    return known[FIXED] == new[FIXED] and not any(clashes)


def _joined_settings(files: Sequence[Path]) -> Settings:
    """What the records in all of these files were made under. Raises BenchmarkError."""
    joined: Settings = {}
    for path in files:
        found: Settings = {}
        with _opened(path) as file:
            for kind, name, value in file.execute("SELECT kind, name, value FROM settings"):
                found.setdefault(kind, {})[name] = _value(path, name, value)
        if FIXED not in found:
            raise BenchmarkError(
                f"{path} does not say what its records were made under: choose another --out, or delete it."
            )
        if joined and not agree(joined, found):
            raise BenchmarkError(
                f"{path} is of another run than {files[0]}: keep the two in folders of their own."
            )
        joined = {kind: joined.get(kind, {}) | found.get(kind, {}) for kind in {**joined, **found}}
    return joined


def _value(path: Path, name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise BenchmarkError(
            f"{path} is damaged (its setting “{name}”): choose another --out, or delete it."
        ) from None


def _joined_records(files: Sequence[Path]) -> pd.DataFrame:
    """The records of all of these files; one that several have, once. Raises BenchmarkError where they
    contradict each other."""
    parts = []
    for path in files:
        with _opened(path) as file:
            parts.append(_records_of(file))
    found = _one_below_the_other([part for part in parts if len(part)])
    if len(parts) < 2:
        return found
    found = found.drop_duplicates([*KEY, *ANSWER])
    if (double := found[found.duplicated(KEY)]).size:
        first = double.iloc[0]
        raise BenchmarkError(
            f"{files[0].parent} holds two answers for picture {first['index']} of {first['dataset']} under"
            f" {first['attack']}, {first['defense']}: keep each run in a folder of its own."
        )
    return found.sort_values(KEY, ignore_index=True)


def _one_below_the_other(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Files' records, their words still categories, in the order of the alphabet."""
    if not parts:
        return pd.DataFrame(columns=COLUMNS)
    words = {
        name: sorted({word for part in parts for word in part[name].cat.categories})
        for name in parts[0].select_dtypes("category")
    }
    same = ({name: part[name].cat.set_categories(words[name]) for name in words} for part in parts)
    return pd.concat([part.assign(**columns) for part, columns in zip(parts, same)])


def _records_of(file: sqlite3.Connection) -> pd.DataFrame:
    """One file's records: COLUMNS, in the order of their keys. The words of a million of them are a few, and
    stand in memory once, as categories; its numbers as numpy's."""
    file.execute("BEGIN")  # both answers are of one moment
    groups = pd.DataFrame(file.execute(GROUPS), columns=["dataset", "attack", "defense", "size"])
    sizes = groups.pop("size").to_numpy(int)
    whole, costs = np.empty((3, sizes.sum()), np.int32), np.empty((3, sizes.sum()))
    cursor, start = file.execute(NUMBERS), 0
    while rows := cursor.fetchmany(AT_ONCE):
        block, part = np.array(rows).T, slice(start, start + len(rows))
        whole[:, part], costs[:, part], start = block[:3], block[3:], part.stop
    return pd.DataFrame(
        {
            **{name: groups[name].astype("category").repeat(sizes).array for name in groups},
            **dict(zip(["index", *ANSWER], whole)),
            **dict(zip(COSTS, costs)),
        },
        copy=False,
    )[COLUMNS]
