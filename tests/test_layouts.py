"""Data sets as a folder a class, and as a zip of that."""

import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from demo_core.benchmark import __main__ as cli
from demo_core.benchmark.datasets import DATASETS, FLOWERS, SATELLITE
from demo_core.benchmark.piles import DatasetUnavailable, pile_of

CIFAR = "airplane automobile bird cat deer dog frog horse ship truck".split()


def lay(root: Path, folders, ending=".png", inside=""):
    """A picture a folder, whose red is the folder's place in the list."""
    for place, folder in enumerate(folders):
        path = root / inside / folder / f"picture{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40), (place, 0, 0)).save(path)


def packed(folder: Path, target: Path, beside=()):
    with zipfile.ZipFile(target, "w") as file:
        for path in sorted(folder.rglob("*")):
            file.write(path, path.relative_to(folder.parent))
        for name in beside:
            file.writestr(name, b"no picture")
    return target


def read(key, root, **options):
    """The names of the classes, and the label of each picture by its place in the list of `lay`."""
    pile = pile_of(key, root, 64, **options)
    found = pile.load(torch.arange(len(pile.indices)))
    return pile.names, dict(zip(found.pictures[:, 0, 32, 32].tolist(), found.labels.tolist()))


@pytest.mark.parametrize("inside", ["", "CIFAR10", "cifar10/test", "CIFAR10/images/val"])
def test_a_folder_a_class_wherever_it_begins(tmp_path, inside):
    lay(tmp_path / "CIFAR10", CIFAR[::-1], inside=inside)
    if "/" in inside:
        lay(tmp_path / "CIFAR10", ["train"], inside=Path(inside).parent)
    names, labels = read("CIFAR10", tmp_path)
    assert names == tuple(CIFAR) and labels == {place: 9 - place for place in range(10)}


def test_a_zip_is_read_in_place_and_gives_the_same(tmp_path):
    lay(tmp_path / "unpacked" / "CIFAR10", CIFAR)
    mac = ["__MACOSX/CIFAR10/airplane/._picture.png", "CIFAR10/.DS_Store", "CIFAR10/airplane/._picture.png"]
    packed(tmp_path / "unpacked" / "CIFAR10", tmp_path / "CIFAR10.zip", mac)
    assert read("CIFAR10", tmp_path) == read("CIFAR10", tmp_path / "unpacked")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["CIFAR10.zip", "unpacked"]
    own = packed(tmp_path / "unpacked" / "CIFAR10", tmp_path / "mine.zip")
    assert cli._found("mine.zip", tmp_path) == str(own) and read(str(own), Path("nowhere"))[0] == tuple(CIFAR)


def spelled(name: str) -> str:
    return name.replace(" ", "_").upper()


@pytest.mark.parametrize(
    "key, folders, names, labels",
    [
        ("Flowers102", [str(n) for n in range(1, 103)], {0: "pink primrose"}, {0: 0, 101: 101}),
        ("Flowers102", [f"{n:03d}" for n in range(102)], {0: "pink primrose"}, {0: 0, 101: 101}),
        ("Flowers102", [spelled(name) for name in FLOWERS], {1: "hard leaved pocket orchid"}, {4: 4}),
        ("ImageNet", ["n01443537", "n01440764"], {0: "tench", 1: "goldfish"}, {0: 1, 1: 0}),
        ("ImageNet", ["Great White Shark", "tench, Tinca tinca"], {2: "great white shark"}, {0: 2, 1: 0}),
        ("EuroSAT", list(SATELLITE), {0: "annual crop land"}, {3: 3}),
    ],
)  # fmt: skip
def test_folders_are_put_into_the_official_order_with_the_official_names(
    tmp_path, key, folders, names, labels
):
    lay(tmp_path / key, folders)
    found, read_as = read(key, tmp_path)
    assert len(found) == DATASETS[key].classes and {place: found[place] for place in names} == names
    assert {place: read_as[place] for place in labels} == labels


def test_the_order_of_a_file_beside_the_folders_counts(tmp_path):
    """OxfordPets' is the alphabet's whatever the case; another may be any."""
    pets = [f"Cat_{i:02d}" if i % 2 else f"dog_{i:02d}" for i in range(37)]
    lay(tmp_path / "OxfordPets", pets)
    names, _ = read("OxfordPets", tmp_path)
    assert names[0] == "cat 01" and names[-1] == "dog 36"
    (tmp_path / "OxfordPets" / "classes.txt").write_text("\n".join(pets) + "\n")
    names, labels = read("OxfordPets", tmp_path)
    assert names[0] == "dog 00" and labels == {place: place for place in range(37)}


@pytest.mark.parametrize(
    "make, why",
    [
        (lambda root: lay(root, [*CIFAR[:9], "lorry"]), None),
        (lambda root: lay(root, CIFAR[:9]), "has 9 classes instead of 10"),
        (lambda root: root.with_suffix(".zip").write_bytes(b"PK"), "CIFAR10.zip is no whole zip"),
        (lambda root: root.mkdir(), "CIFAR10 has no folders in it"),
        (lambda root: (lay(root, CIFAR), (root / "cat" / "picture.png").rename(root / "cat" / "notes.txt")),
         "the folder “cat” has no picture in it, but notes.txt"),
    ],
)  # fmt: skip
def test_a_wrong_layout_is_told_in_one_sentence(tmp_path, make, why):
    make(tmp_path / "CIFAR10")
    if why is None:
        assert "lorry" in read("CIFAR10", tmp_path)[0]  # nobody else's list says otherwise
        return
    with pytest.raises(DatasetUnavailable, match=why) as refused:
        pile_of("CIFAR10", tmp_path, 64)
    assert "cifar-10-batches-py/test_batch" in str(refused.value)


def test_a_class_that_is_none_of_the_set_is_told(tmp_path):
    lay(tmp_path / "ImageNet", ["n01440764", "n99999999"])
    with pytest.raises(DatasetUnavailable, match="“n99999999” in ImageNet is none of its 1000 classes"):
        pile_of("ImageNet", tmp_path, 64)


def test_a_damaged_picture_in_a_zip_is_named(tmp_path):
    lay(tmp_path / "CIFAR10", CIFAR)
    (tmp_path / "CIFAR10" / "frog" / "picture.png").write_bytes(b"no picture")
    packed(tmp_path / "CIFAR10", tmp_path / "mine.zip")
    with pytest.raises(DatasetUnavailable, match="mine.zip/CIFAR10/frog/picture.png cannot be read"):
        pile_of(str(tmp_path / "mine.zip"), Path("nowhere"), 64)
    names, labels = read(str(tmp_path / "mine.zip"), Path("nowhere"), skip_unreadable=True)
    assert len(names) == 10 and len(labels) == 9
