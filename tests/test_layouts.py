"""Data sets in the layouts that people have beside torchvision's own."""

import io
import json
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from demo_core.benchmark import __main__ as cli
from demo_core.benchmark.datasets import DATASETS, PAPERS
from demo_core.benchmark.official import SATELLITE, classes
from demo_core.benchmark.piles import DatasetUnavailable, pile_of

CIFAR = "airplane automobile bird cat deer dog frog horse ship truck".split()


def lay(root: Path, folders, ending=".png", inside=""):
    """A picture a folder, whose red and green are the folder's place in the list."""
    for place, folder in enumerate(folders):
        path = root / inside / folder / f"picture{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        painted(place).save(path)


def painted(place: int) -> Image.Image:
    return Image.new("RGB", (8, 8), (place % 256, place // 256, 0))


def encoded(place: int) -> bytes:
    file = io.BytesIO()
    painted(place).save(file, "png")
    return file.getvalue()


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
    red, green = found.pictures[:, :2, 32, 32].int().T
    return pile.names, dict(zip((red + 256 * green).tolist(), found.labels.tolist()))


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
        ("Flowers102", [spelled(row.clip) for row in classes("Flowers102")], {92: "ball moss"}, {92: 92}),
        ("CIFAR10", ["frog", "cat"], {0: "airplane", 9: "truck"}, {0: 6, 1: 3}),
        ("CIFAR10", ["9", "0", "4"], {}, {0: 9, 1: 0, 2: 4}),
        ("Caltech101", ["BACKGROUND_Google", "Leopards", "Faces_easy"], {1: "person"}, {1: 2, 2: 1}),
        ("Caltech256", ["ak47", "257.clutter"], {256: "clutter"}, {0: 0, 1: 256}),
        ("Country211", ["ZW", "South Korea", "fr"], {103: "Korea, Republic of"}, {0: 210, 1: 103, 2: 63}),
        ("FGVCAircraft", ["F-16A-B", "737-800"], {8: "boeing 737-800"}, {0: 72, 1: 8}),
        ("OxfordPets", ["Pug", "american_bulldog"], {0: "abyssinian"}, {0: 25, 1: 1}),
        ("StanfordCars", ["Ram C-V Cargo Van Minivan 2012"], {0: "am general hummer suv"}, {0: 173}),
        ("SUN397", ["jail_cell", "jail-indoor"], {206: "jail/indoor"}, {0: 207, 1: 206}),
        ("PCAM", ["tumor", "normal"], {0: "healthy lymph node tissue"}, {0: 1, 1: 0}),
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


@pytest.mark.parametrize("key", sorted({*PAPERS} - {"ImageNet"}))
def test_every_set_is_known_by_its_folders_by_clip_s_names_and_by_numbers(tmp_path, key):
    rows = classes(key)
    numbers = [str(number) for number in range(1, len(rows) + 1)]
    spoken = [row.clip.upper().replace("/", " ") or row.folder for row in rows]
    folders = [row.folder.replace("/", "-") for row in rows]
    assert len(rows) == DATASETS[key].classes
    for way in (folders, spoken, numbers):
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        lay(root / key, way[::-1])
        names, labels = read(key, root)
        assert len(names) == len(rows) and labels == {len(rows) - 1 - n: n for n in range(len(rows))}


def test_the_order_of_a_file_beside_the_folders_counts(tmp_path):
    """Of folders of one's own; otherwise it is the alphabet's, whatever the case."""
    lay(tmp_path, ["Cat", "dog", "Emu"])
    assert read(str(tmp_path), Path())[0] == ("cat", "dog", "emu")
    (tmp_path / "classes.txt").write_text("dog\nEmu\n\nCat\n")
    assert read(str(tmp_path), Path()) == (("dog", "emu", "cat"), {0: 2, 1: 0, 2: 1})


@pytest.mark.parametrize("folders", [["кошка", "собака"], ["犬", "猫"], ["f", "f++"]])
def test_folders_of_one_s_own_may_have_any_letters(tmp_path, folders):
    lay(tmp_path, folders)
    assert read(str(tmp_path), Path()) == (tuple(folders), {0: 0, 1: 1})
    (tmp_path / "classes.txt").write_text("\n".join(folders[::-1]))
    assert read(str(tmp_path), Path()) == (tuple(folders[::-1]), {0: 1, 1: 0})
    (tmp_path / "classes.txt").write_text("dog\ncat")
    with pytest.raises(DatasetUnavailable, match="is none of its 2 classes"):
        pile_of(str(tmp_path), Path(), 64)


def test_wnids_of_one_s_own_are_called_by_their_words(tmp_path):
    lay(tmp_path, ["n01443537", "n00007846"])  # the second is none of the thousand
    assert read(str(tmp_path), Path())[0] == ("person", "goldfish")


@pytest.mark.parametrize(
    "make, why",
    [
        (lambda root: lay(root, [*CIFAR[:9], "lorry"]), "“lorry” in CIFAR10 is none of its 10 classes"),
        (lambda root: lay(root, ["3", "4"]), "numbers, of which neither 0 nor 10 is there"),
        (lambda root: root.with_suffix(".zip").write_bytes(b"PK"), "CIFAR10.zip is no whole zip"),
        (lambda root: root.with_suffix(".tar").write_bytes(b"ta"), "CIFAR10.tar is no whole tar"),
        (lambda root: root.with_suffix(".tgz").write_bytes(b"ta"), "CIFAR10.tgz is compressed, and is read"),
        (lambda root: root.mkdir(), "CIFAR10 has no folders in it"),
        (lambda root: (lay(root, CIFAR), (root / "cat" / "picture.png").rename(root / "cat" / "notes.txt")),
         "the folder “cat” has no picture in it, but notes.txt"),
    ],
)  # fmt: skip
def test_a_wrong_layout_is_told_in_one_sentence(tmp_path, make, why):
    make(tmp_path / "CIFAR10")
    with pytest.raises(DatasetUnavailable, match=why) as refused:
        pile_of("CIFAR10", tmp_path, 64)
    assert "cifar-10-batches-py/test_batch" in str(refused.value)


def test_a_class_that_is_none_of_the_set_is_told(tmp_path):
    lay(tmp_path / "ImageNet", ["n01440764", "n99999999"])
    with pytest.raises(DatasetUnavailable, match="“n99999999” in ImageNet is none of its 1000 classes"):
        pile_of("ImageNet", tmp_path, 64)


def test_a_name_that_two_classes_have_is_told(tmp_path):
    lay(tmp_path / "ImageNet", ["crane", "tench"])
    with pytest.raises(DatasetUnavailable, match="“crane” in ImageNet may be several of its 1000 classes"):
        pile_of("ImageNet", tmp_path, 64)


@pytest.mark.parametrize(
    "key, place, folders, labels",
    [
        ("EuroSAT", "EuroSAT_RGB", ["River", "Forest"], {0: 8, 1: 1}),
        ("Caltech101", "101_ObjectCategories", ["ant", "BACKGROUND_Google"], {0: 7}),
        ("Caltech101", "caltech-101/101_ObjectCategories", ["ant", "Faces"], {0: 7, 1: 0}),
        ("Caltech256", "256_ObjectCategories", ["257.clutter", "001.ak47"], {0: 256, 1: 0}),
        ("ImageNet", "ILSVRC/Data/CLS-LOC/val", ["n01443537", "n01440764"], {0: 1, 1: 0}),
        ("OxfordPets", "Oxford-IIIT-Pet", ["pug", "Abyssinian"], {0: 25, 1: 0}),
        ("Flowers102", "datasets--me--oxford-flowers/snapshots/0a1b/test", ["0", "101"], {0: 0, 1: 101}),
        ("StanfordCars", "wds_cars", ["1", "196"], {0: 0, 1: 195}),
    ],
)
def test_a_set_is_found_under_the_names_it_goes_about_by(tmp_path, key, place, folders, labels):
    lay(tmp_path / place, folders)
    if place.startswith("caltech-101"):  # what else its authors' archive holds
        outlines = tmp_path / "caltech-101" / "Annotations" / "ant" / "annotation_0001.mat"
        outlines.parent.mkdir(parents=True)
        outlines.write_bytes(b"no picture")
    assert read(key, tmp_path)[1] == labels


def test_its_own_name_counts_before_others_and_a_folder_before_a_file(tmp_path):
    lay(tmp_path / "2750", ["Forest"])
    (tmp_path / "EuroSAT.zip").write_bytes(b"PK")
    lay(tmp_path / "EuroSat", ["River"])
    assert read("EuroSAT", tmp_path)[1] == {0: 8}


def test_links_to_folders_and_files_are_followed_but_not_in_a_circle(tmp_path):
    lay(tmp_path / "elsewhere", CIFAR, ".PNG")
    folder = tmp_path / "cifar-10"
    folder.mkdir()
    for name in CIFAR[:5]:
        (folder / name).symlink_to(tmp_path / "elsewhere" / name, target_is_directory=True)
    for name in CIFAR[5:]:
        (folder / name).mkdir()
        (folder / name / "1.PNG").symlink_to(tmp_path / "elsewhere" / name / "picture.PNG")
    (folder / "cat" / "round").symlink_to(folder, target_is_directory=True)
    assert read("CIFAR10", tmp_path)[1] == {place: place for place in range(10)}


def tarred(target: Path, files: dict[str, bytes]):
    target.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(target, "w") as file:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            file.addfile(member, io.BytesIO(data))


def test_a_tar_of_folders_is_read_in_place(tmp_path):
    tarred(tmp_path / "CIFAR10.tar", {f"c10/{name}/1.png": encoded(n) for n, name in enumerate(CIFAR)})
    assert read("CIFAR10", tmp_path) == (tuple(CIFAR), {place: place for place in range(10)})


def by_name(n: int) -> tuple[str, bytes]:
    return "txt", CIFAR[n].upper().encode()


def by_number(n: int) -> tuple[str, bytes]:
    return "cls", str(9 - n).encode()


def by_json(n: int) -> tuple[str, bytes]:
    return "json", json.dumps({"width": 8, "label": n}).encode()


@pytest.mark.parametrize(
    "said, listed, labels",
    [
        (by_name, "", lambda n: n),
        (by_number, "", lambda n: 9 - n),
        (by_json, "", lambda n: n),
        (by_number, "\n".join(CIFAR[::-1]), lambda n: n),
    ],
)
def test_shards_are_read_in_place_and_those_of_the_test_alone(tmp_path, said, listed, labels):
    folder = tmp_path / "CIFAR10"
    for shard in range(2):
        files = {}
        for n in range(5 * shard, 5 * shard + 5):
            kind, data = said(n)
            files |= {f"{n:04d}.png": encoded(n), f"{n:04d}.{kind}": data}
        tarred(folder / f"cifar10-test-{shard:05d}.tar", files)
    tarred(folder / "cifar10-train-00000.tar", {"test_1.png": encoded(77), "test_1.cls": b"0"})
    (folder / "classnames.txt").write_text(listed)
    names, found = read("CIFAR10", tmp_path)
    assert names == tuple(CIFAR) and found == {n: labels(n) for n in range(10)}


def test_shards_of_clip_s_benchmark_are_read_in_place(tmp_path):
    """In folders test and train, whose numbers classnames.txt spells out."""
    folder = tmp_path / "wds_vtab-cifar10"
    for part, shift in (("test", 0), ("train", 50)):
        files = {}
        for n in range(10):
            files |= {f"s{n:07d}.png": encoded(n + shift), f"s{n:07d}.cls": str(n).encode()}
        tarred(folder / part / "0.tar", files)
        (folder / part / "nshards.txt").write_text("1")
    (folder / "classnames.txt").write_text("\n".join(CIFAR))
    (folder / "zeroshot_classification_templates.txt").write_text("a photo of a {c}.")
    assert read("CIFAR10", tmp_path) == (tuple(CIFAR), {n: n for n in range(10)})


def test_shards_without_a_class_or_without_names_are_told(tmp_path):
    tarred(tmp_path / "a.tar", {"1.png": encoded(1), "1.cls": b"0", "2.png": encoded(2), "2.cls": b"1"})
    with pytest.raises(DatasetUnavailable, match="are numbers, and no classes.txt in it says"):
        pile_of(str(tmp_path / "a.tar"), Path(), 64)
    tarred(tmp_path / "b.tar", {"1.png": encoded(1), "1.cls": b"0", "2.png": encoded(2)})
    with pytest.raises(DatasetUnavailable, match="2.png in b.tar has no class beside it, as others have"):
        pile_of(str(tmp_path / "b.tar"), Path(), 64)


def written(target: Path, rows: list[tuple[bytes, int]], names=(), described=True, group: int = 3):
    """A file as the hub has it."""
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    pictures = [{"bytes": data, "path": None} for data, _ in rows]
    table = pyarrow.table({"image": pictures, "coarse_label": [0] * len(rows), "label": [n for _, n in rows]})
    features = {
        "image": {"_type": "Image"},
        "coarse_label": {"names": ["thing"], "_type": "ClassLabel"},
        "label": {"names": list(names), "_type": "ClassLabel"},
    }
    if described:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    target.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table, target, row_group_size=group)


@pytest.mark.parametrize("described", [True, False])
def test_parquet_files_of_the_hub_are_read_in_place(tmp_path, described):
    """Of its cache, whose files are links; a part whose classes are secret is none."""
    folder, blobs = (
        tmp_path / "datasets--uoft-cs--cifar10" / "snapshots" / "0a1b" / "data",
        tmp_path / "blobs",
    )
    names = CIFAR[::-1] if described else ()
    label = (lambda n: 9 - n) if described else (lambda n: n)
    written(blobs / "secret", [(encoded(50), -1)], names)
    for part in range(2):
        rows = [(encoded(n), label(n)) for n in range(5 * part, 5 * part + 5)]
        written(blobs / str(part), rows, names, described)
    written(blobs / "train", [(encoded(77), 0)], names)
    folder.mkdir(parents=True)
    named = {"secret": "test-0", "0": "validation-0", "1": "validation-1", "train": "train-0"}
    for blob, name in named.items():
        (folder / f"{name}.parquet").symlink_to(blobs / blob)
    assert read("CIFAR10", tmp_path) == (tuple(CIFAR), {n: n for n in range(10)})


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_that_stand_in_the_order_of_their_letters_are_the_classes_they_say(tmp_path, first):
    """As folders with a number each are uploaded: "1", "10", "100", "101" and so on."""
    names = sorted(map(str, range(first, 102 + first)))
    written(tmp_path / "Flowers102.parquet", [(encoded(n), n) for n in range(102)], names)
    assert read("Flowers102", tmp_path)[1] == {n: int(name) - first for n, name in enumerate(names)}
    written(tmp_path / "Flowers102.parquet", [(encoded(1), 102)], names)
    with pytest.raises(DatasetUnavailable, match="“102” in Flowers102.parquet is none of its 102 classes"):
        pile_of("Flowers102", tmp_path, 64)


def test_of_the_hub_s_cache_the_revision_that_is_main_is_read(tmp_path):
    cache = tmp_path / "datasets--uoft-cs--cifar10"
    for revision, shift in (("0a", 50), ("1b", 0)):
        place = cache / "snapshots" / revision / "plain_text" / "test-00000-of-00001.parquet"
        written(place, [(encoded(n + shift), n) for n in range(10)], CIFAR)
    (cache / "refs").mkdir()
    (cache / "refs" / "main").write_text("1b\n")
    assert read("CIFAR10", tmp_path)[1] == {n: n for n in range(10)}


@pytest.mark.parametrize("columns, said", [(["width"], "pictures"), (["image", "width"], "classes")])
def test_a_parquet_file_without_pictures_or_classes_is_told(tmp_path, columns, said):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    values = {"width": [8, 8], "image": [encoded(0), encoded(1)]}
    parquet.write_table(pyarrow.table({name: values[name] for name in columns}), tmp_path / "DTD.parquet")
    with pytest.raises(DatasetUnavailable, match=f"DTD.parquet has no column of {said}: {columns[0]}"):
        pile_of("DTD", tmp_path, 64)


def test_two_sets_in_one_folder_of_parquet_files_are_told(tmp_path):
    for config in ("cropped", "full"):
        written(tmp_path / "CIFAR10" / config / "test-0.parquet", [(encoded(n), n) for n in range(10)], CIFAR)
    with pytest.raises(DatasetUnavailable, match="CIFAR10 holds several sets in one: cropped and full"):
        pile_of("CIFAR10", tmp_path, 64)


def test_what_is_wrong_with_a_parquet_file_is_told(tmp_path, monkeypatch):
    names = ["BACKGROUND_Google", *(row.folder for row in classes("Caltech101"))]
    place = tmp_path / "Caltech101.parquet"
    written(place, [(encoded(0), 0), (encoded(1), 1), (b"no picture", 2), (encoded(3), 3)], names)
    with pytest.raises(DatasetUnavailable, match="Caltech101.parquet/row 2 cannot be read"):
        pile_of("Caltech101", tmp_path, 64)
    _, labels = read("Caltech101", tmp_path, skip_unreadable=True)
    assert labels == {1: 0, 3: 2}  # the background is no class
    place.write_bytes(b"PAR1")
    with pytest.raises(DatasetUnavailable, match="Caltech101.parquet is no whole parquet file"):
        pile_of("Caltech101", tmp_path, 64)
    place.rename(tmp_path / "Caltech101.arrow")
    with pytest.raises(DatasetUnavailable, match="Caltech101.arrow is no whole arrow file"):
        pile_of("Caltech101", tmp_path, 64)


def test_that_a_package_is_missing_is_told(tmp_path, monkeypatch):
    (tmp_path / "DTD.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DatasetUnavailable, match="one more package: pip install pyarrow"):
        pile_of("DTD", tmp_path, 64)


def test_a_damaged_picture_in_a_zip_is_named(tmp_path):
    lay(tmp_path / "CIFAR10", CIFAR)
    (tmp_path / "CIFAR10" / "frog" / "picture.png").write_bytes(b"no picture")
    packed(tmp_path / "CIFAR10", tmp_path / "mine.zip")
    with pytest.raises(DatasetUnavailable, match="mine.zip/CIFAR10/frog/picture.png cannot be read"):
        pile_of(str(tmp_path / "mine.zip"), Path("nowhere"), 64)
    names, labels = read(str(tmp_path / "mine.zip"), Path("nowhere"), skip_unreadable=True)
    assert len(names) == 10 and len(labels) == 9


def test_a_zip_that_is_damaged_in_the_middle_names_the_picture(tmp_path):
    lay(tmp_path / "CIFAR10", CIFAR)
    damaged = packed(tmp_path / "CIFAR10", tmp_path / "mine.zip")
    data = bytearray(damaged.read_bytes())
    name = b"CIFAR10/frog/picture.png"
    data[data.index(name) + len(name) + 40] ^= 255
    damaged.write_bytes(data)
    with pytest.raises(DatasetUnavailable, match=r"frog/picture.png cannot be read \(Bad CRC-32"):
        pile_of(str(damaged), Path("nowhere"), 64)
