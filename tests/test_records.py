"""Records on disk: none lost, none twice, and none beside others that they do not belong with."""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from demo_core.benchmark.records import COLUMNS, Records, merge, read_records, settings_of
from demo_core.benchmark.trials import BenchmarkError

ROOT = Path(__file__).parents[1]
SETTINGS = {"model": "photo", "seed": 0}


LOOSE = {"check_dtype": False, "check_categorical": False}  # the values count, not how they lie in memory


def rows(*indices: int, predicted: int = 1, dataset: str = "DTD") -> pd.DataFrame:
    """Records of these pictures, right where `predicted` is 1."""
    found = [(dataset, i, 1, "clean", "none", predicted, 1.0, 0.5, 2.25) for i in indices]
    return pd.DataFrame(found, columns=COLUMNS)


def test_what_was_written_is_read(tmp_path):
    records = Records(tmp_path, SETTINGS)
    records.append(rows(3, 1))
    records.append(rows(2, dataset="1234"))  # a folder may be called so
    expected = pd.concat([rows(2, dataset="1234"), rows(1, 3)], ignore_index=True)
    pd.testing.assert_frame_equal(records.read(), expected, **LOOSE)
    pd.testing.assert_frame_equal(read_records(records.path), expected, **LOOSE)
    assert records.done("DTD") == {("clean", "none"): {1, 3}} and records.done("EuroSAT") == {}


def test_no_picture_is_there_twice(tmp_path):
    """Neither in one file, where the first answer stays, nor by two files."""
    records = Records(tmp_path, SETTINGS)
    records.append(rows(1, 2))
    records.append(rows(2, 3, predicted=0))
    assert dict(zip(records.read()["index"], records.read()["predicted"])) == {1: 1, 2: 1, 3: 0}
    Records(tmp_path, SETTINGS, process=1).append(rows(1, 4).assign(milliseconds=9.0))
    assert sorted(records.read()["index"]) == [1, 2, 3, 4]


def test_two_answers_for_one_picture_are_refused(tmp_path):
    Records(tmp_path, SETTINGS).append(rows(1))
    Records(tmp_path, SETTINGS, process=1).append(rows(1, predicted=0))
    with pytest.raises(BenchmarkError, match="two answers for picture 1 of DTD"):
        read_records(tmp_path)


def test_processes_write_side_by_side(tmp_path):
    """While one is in the middle of a transaction, another writes, and a third reads what is whole."""
    for process in (0, 1):
        Records(tmp_path, SETTINGS, process=process).append(rows(process))
    with closing(sqlite3.connect(tmp_path / "records-0.sqlite", isolation_level=None)) as busy:
        busy.execute("BEGIN IMMEDIATE")
        busy.execute("UPDATE records SET predicted = 7")
        records = Records(tmp_path, SETTINGS, process=1)
        records.append(rows(2))
        assert set(records.read()["predicted"]) == {1} and len(records.read()) == 3


KILLED = """
import os, signal, sys
import pandas as pd
from pathlib import Path
from demo_core.benchmark.records import COLUMNS, Records

records = Records(Path(sys.argv[1]), {"model": "photo", "seed": 0})
one = ("DTD", 1, 1, "clean", "none", 1, 1.0, 0.5, 2.25)
records.append(pd.DataFrame([one], columns=COLUMNS))

class Rows:
    def __getitem__(self, columns):
        return self
    def itertuples(self, **options):
        for index in range(2, 200_000):  # more than fits into SQLite's cache, so that some is on the disk
            yield ("DTD", index, *one[2:])
        os.kill(os.getpid(), signal.SIGKILL)

records.append(Rows())
"""


def test_a_kill_in_the_middle_of_a_batch_loses_that_batch_alone(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=ROOT, timeout=200)
    assert killed.returncode == -signal.SIGKILL
    assert os.path.getsize(tmp_path / "records-0.sqlite-journal")  # it was in the middle
    pd.testing.assert_frame_equal(read_records(tmp_path), rows(1), **LOOSE)
    records = Records(tmp_path, SETTINGS)
    records.append(rows(2))
    assert sorted(records.read()["index"]) == [1, 2]


def test_a_kill_before_the_first_transaction_leaves_no_obstacle(tmp_path):
    (tmp_path / "records-0.sqlite").touch()
    (tmp_path / "records-1.sqlite").touch()
    records = Records(tmp_path, SETTINGS)
    assert records.read().empty and list(records.read().columns) == COLUMNS


def test_other_settings_are_refused_and_other_defences_join(tmp_path):
    Records(tmp_path, SETTINGS, {"defenses": {"ttc": "eps 4"}})
    Records(tmp_path, SETTINGS, {"defenses": {"mac": "eps 8"}, "datasets": {"DTD": 100}})
    for settings, joining in (
        (SETTINGS | {"model": "other"}, {}),
        (SETTINGS | {"precision": "bf16"}, {}),
        ({"model": "photo"}, {}),
        (SETTINGS, {"defenses": {"ttc": "eps 5"}}),
        (SETTINGS, {"defenses": {"ttc": "eps 4", "mac": "eps 9"}}),
        (SETTINGS, {"datasets": {"DTD": 99}}),
    ):
        with pytest.raises(BenchmarkError, match="other settings"):
            Records(tmp_path, settings, joining)
    Records(tmp_path, SETTINGS, {"defenses": {"mac": "eps 8", "ttc": "eps 4"}}, process=1)
    joined = settings_of(tmp_path)
    assert joined["fixed"] == SETTINGS and joined["defenses"] == {"ttc": "eps 4", "mac": "eps 8"}


def test_records_without_settings_are_not_adopted(tmp_path):
    records = Records(tmp_path, SETTINGS)
    records.append(rows(1))
    with closing(sqlite3.connect(records.path)) as file, file:
        file.execute("DELETE FROM settings")
    for use in (lambda: Records(tmp_path, SETTINGS), lambda: read_records(tmp_path)):
        with pytest.raises(BenchmarkError, match="does not say what its records were made under"):
            use()


def test_what_is_no_file_of_records_is_named(tmp_path):
    (tmp_path / "records-0.sqlite").write_bytes(b"something else " * 100)
    with pytest.raises(BenchmarkError, match="records-0.sqlite cannot be used as a file of records"):
        Records(tmp_path, SETTINGS)


def test_files_merge_into_one(tmp_path):
    for process, name in ((0, "ttc"), (1, "mac")):
        records = Records(tmp_path / name, SETTINGS, {"defenses": {name: "eps 4"}}, process)
        records.append(rows(process, 5))
    merged = merge([tmp_path / "ttc", tmp_path / "mac" / "records-1.sqlite"], tmp_path / "one.sqlite")
    pd.testing.assert_frame_equal(read_records(tmp_path / "one.sqlite"), merged)
    pd.testing.assert_frame_equal(read_records(tmp_path / "one.sqlite"), rows(0, 1, 5), **LOOSE)
    assert settings_of(tmp_path / "one.sqlite") == {
        "fixed": SETTINGS,
        "defenses": {"ttc": "eps 4", "mac": "eps 4"},
    }
    before = (tmp_path / "one.sqlite").read_bytes()
    merge([tmp_path / "one.sqlite", tmp_path / "mac"], tmp_path / "one.sqlite")
    assert (tmp_path / "one.sqlite").read_bytes() == before


def test_what_does_not_belong_together_does_not_merge(tmp_path):
    Records(tmp_path / "a", SETTINGS, {"defenses": {"ttc": "eps 4"}}).append(rows(1))
    Records(tmp_path / "b", SETTINGS | {"seed": 1}).append(rows(2))
    Records(tmp_path / "c", SETTINGS, {"defenses": {"ttc": "eps 5"}}).append(rows(3))
    Records(tmp_path / "d", SETTINGS).append(rows(1, predicted=0))
    (tmp_path / "one.sqlite").write_text("as it was")
    for other, why in (("b", "another run"), ("c", "another run"), ("d", "two answers")):
        with pytest.raises(BenchmarkError, match=why):
            merge([tmp_path / "a", tmp_path / other], tmp_path / "one.sqlite")
    assert (tmp_path / "one.sqlite").read_text() == "as it was"
