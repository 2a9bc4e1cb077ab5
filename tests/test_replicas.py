"""Every set of the paper in every layout that is not torchvision's (for that see test_datasets): the first
two classes of the official order and the last, under the names that their folders have."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.official import classes
from tests.test_layouts import encoded, lay, packed, read, tarred, written


def as_folders(root: Path, key: str, folders: list[str]) -> None:
    lay(root / key, folders, ".PNG")


def as_zip(root: Path, key: str, folders: list[str]) -> None:
    lay(root / "unpacked" / key, folders)
    packed(root / "unpacked" / key, root / f"{key}.zip", [f"__MACOSX/{key}/._picture.png"])


def as_tar(root: Path, key: str, folders: list[str]) -> None:
    tarred(root / f"{key}.tar", {f"{key}/{name}/1.png": encoded(n) for n, name in enumerate(folders)})


def as_shards(root: Path, key: str, folders: list[str]) -> None:
    """One picture a shard."""
    for n, name in enumerate(folders):
        files = {f"{n:04d}.png": encoded(n), f"{n:04d}.txt": name.encode()}
        tarred(root / f"wds_{key.lower()}" / f"test-{n:06d}.tar", files)


def as_parquet(root: Path, key: str, folders: list[str]) -> None:
    place = root / f"datasets--me--{key}" / "snapshots" / "0a1b" / "data" / "test-00000-of-00001.parquet"
    written(place, [(encoded(n), n) for n in range(len(folders))], folders)


def as_arrow(root: Path, key: str, folders: list[str]) -> None:
    """What the package `datasets` makes of the file above, in two batches."""
    as_parquet(root, key, folders)
    parquet, ipc = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.ipc")
    (hub,) = root.glob("datasets--*")
    (file,) = hub.rglob("*.parquet")
    place = root / f"me___{key}" / "default" / "0.0.0" / "0a1b"
    place.mkdir(parents=True)
    (place / "dataset_info.json").write_text("{}")
    table = parquet.read_table(file)
    with ipc.new_stream(place / f"{key}-test.arrow", table.schema) as stream:
        stream.write_table(table, max_chunksize=2)
    shutil.rmtree(hub)


@pytest.mark.parametrize("laid", [as_folders, as_zip, as_tar, as_shards, as_parquet, as_arrow])
@pytest.mark.parametrize("key", PAPERS)
def test_the_official_classes_of_every_set_in_every_layout(
    tmp_path, key: str, laid: Callable[[Path, str, list[str]], None]
):
    last = DATASETS[key].classes - 1
    labels = sorted({last, 1, 0}, reverse=True)
    laid(tmp_path, key, [classes(key)[label].folder.replace("/", "_") for label in labels])
    names, found = read(key, tmp_path)
    assert len(names) == last + 1 and found == dict(enumerate(labels))
