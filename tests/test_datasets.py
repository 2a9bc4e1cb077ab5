"""Every row of DATASETS against a tiny replica of its layout on disk, made here."""

import json
import pickle
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import open_clip
import pycountry
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torchvision import datasets as tv
from torchvision import transforms

from demo_core.benchmark import piles
from demo_core.benchmark.datasets import DATASETS, OWN, PAPERS, plain
from demo_core.benchmark.official import SATELLITE
from demo_core.benchmark.piles import DatasetUnavailable, pile_of
from demo_core.benchmark.records import settings_of
from demo_core.benchmark.report import said_of
from demo_core.benchmark.run import Plan, Setup, open_records
from demo_core.benchmark.trials import BenchmarkError, Trial
from demo_core.pictures import open_picture
from demo_core.resizes import Resize, fitted


def picture(path: Path, side: int = 40, colour: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side + 10), (colour, 50, 50)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def cifar(folder: Path, test: str, meta: str, labels_key: str, names_key: str, names: list[str]) -> None:
    folder.mkdir()
    data = np.zeros((3, 3072), np.uint8)
    (folder / test).write_bytes(pickle.dumps({"data": data, labels_key: [2, 0, 1]}))
    (folder / meta).write_bytes(pickle.dumps({names_key: names}))


def make_cifar10(root: Path) -> None:
    cifar(
        root / "cifar-10-batches-py",
        "test_batch",
        "batches.meta",
        "labels",
        "label_names",
        ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"],
    )


def make_cifar100(root: Path) -> None:
    cifar(
        root / "cifar-100-python",
        "test",
        "meta",
        "fine_labels",
        "fine_label_names",
        ["apple", "aquarium_fish", "lawn_mower", *(f"thing_{i}" for i in range(97))],
    )


def make_stl10(root: Path) -> None:
    folder = root / "stl10_binary"
    write(
        folder / "class_names.txt",
        "\n".join(["airplane", "bird", "car", *(f"kind{i}" for i in range(7))]) + "\n",
    )
    (folder / "test_X.bin").write_bytes(np.zeros((3, 3, 96, 96), np.uint8).tobytes())
    (folder / "test_y.bin").write_bytes(np.array([3, 1, 2], np.uint8).tobytes())


def make_imagenet(root: Path) -> None:
    """As torchvision leaves it after unpacking: a folder a synset, and its meta file."""
    wnids = [f"n{i:08d}" for i in range(1000)]
    for wnid in wnids:
        (root / "imagenet" / "val" / wnid).mkdir(parents=True)
        (root / "imagenet" / "val" / wnid / "x.JPEG").symlink_to(root / "one.jpg")
    picture(root / "one.jpg")
    names = {wnid: (f"great_white-shark {i}", "man-eater") for i, wnid in enumerate(wnids)}
    names[wnids[134]] = names[wnids[517]] = ("crane",)  # the bird and the machine: ImageNet names both so
    torch.save((names, wnids), root / "imagenet" / "meta.bin")


def make_caltech101(root: Path) -> None:
    folder = root / "caltech101" / "101_ObjectCategories"
    for name in ["BACKGROUND_Google", "Faces", "Faces_easy", "car_side", *(f"thing_{i}" for i in range(98))]:
        picture(folder / name / "image_0001.jpg")


def make_caltech256(root: Path) -> None:
    for i in range(257):
        name = f"{i + 1:03d}.{'ak47' if i == 0 else 'airplanes-101' if i == 1 else f'a-thing{i}'}"
        picture(root / "caltech256" / "256_ObjectCategories" / name / f"{i + 1:03d}_0001.jpg")


def make_pets(root: Path) -> None:
    lines = []
    for i in range(37):
        name = "american_pit_bull" if i == 0 else f"Cat{i:02d}"
        lines.append(f"{name}_7 {i + 1} 1 1")
        picture(root / "oxford-iiit-pet" / "images" / f"{name}_7.jpg")
    write(root / "oxford-iiit-pet" / "annotations" / "test.txt", "\n".join(lines) + "\n")


def make_flowers(root: Path) -> None:
    folder = root / "flowers-102"
    for i in (1, 2, 3):
        picture(folder / "jpg" / f"image_{i:05d}.jpg")
    savemat(folder / "imagelabels.mat", {"labels": np.array([[5, 102, 1]])})
    savemat(folder / "setid.mat", {"trnid": [[1]], "valid": [[1]], "tstid": [[2, 3]]})


def make_aircraft(root: Path) -> None:
    data = root / "fgvc-aircraft-2013b" / "data"
    names = ["707-320", "A300B4", *(f"DC-{i}" for i in range(98))]
    write(data / "variants.txt", "\n".join(names) + "\n")
    write(data / "images_variant_test.txt", "0000001 A300B4\n0000002 707-320\n")
    picture(data / "images" / "0000001.jpg")
    picture(data / "images" / "0000002.jpg")


def make_cars(root: Path) -> None:
    folder = root / "stanford_cars"
    names = np.array(
        [
            "AM General Hummer SUV 2000",
            "Dodge Durango SUV 2007",
            "Dodge Durango SUV 2012",
            *(f"Make Model {i} 2012" for i in range(193)),
        ],
        object,
    )
    (folder / "devkit").mkdir(parents=True)
    savemat(folder / "devkit" / "cars_meta.mat", {"class_names": names})
    made = np.array([("00001.jpg", 1), ("00002.jpg", 196)], dtype=[("fname", object), ("class", object)])
    savemat(folder / "cars_test_annos_withlabels.mat", {"annotations": made})
    picture(folder / "cars_test" / "00001.jpg")
    picture(folder / "cars_test" / "00002.jpg")


def make_sun(root: Path) -> None:
    folder = root / "SUN397"
    names = ["/a/abbey", "/a/apartment_building/outdoor", *(f"/b/place{i}" for i in range(395))]
    write(folder / "ClassName.txt", "\n".join(names) + "\n")
    picture(folder / "b" / "place0" / "sun_c.jpg")
    picture(folder / "a" / "apartment_building" / "outdoor" / "sun_b.jpg")
    picture(folder / "a" / "abbey" / "sun_a.jpg")


# 211 two-letter codes, as the folders of Country211 are named; XK is Kosovo.
COUNTRIES = """
AD AE AF AG AI AL AM AO AQ AR AT AU AW AX AZ BA BB BD BE BF BG BH BJ BM BN BO BQ BR BS BT BW BY BZ CA CD
CF CH CI CK CL CM CN CO CR CU CV CW CY CZ DE DK DM DO DZ EC EE EG ES ET FI FJ FK FO FR GA GB GD GE GF GG
GH GI GL GM GP GR GS GT GU GY HK HN HR HT HU ID IE IL IM IN IQ IR IS IT JE JM JO JP KE KG KH KN KP KR KW
KY KZ LA LB LC LI LK LR LT LU LV LY MA MC MD ME MF MG MK ML MM MN MO MQ MR MT MU MV MW MX MY MZ NA NC NG
NI NL NO NP NZ OM PA PE PF PG PH PK PL PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL
SM SN SO SS SV SX SY SZ TG TH TJ TL TM TN TO TR TT TW TZ UA UG US UY UZ VA VE VG VI VN VU WS XK YE ZA ZM
ZW
""".split()


def make_countries(root: Path) -> None:
    for code in COUNTRIES:
        picture(root / "country211" / "test" / code / "0.jpg")


def make_food(root: Path) -> None:
    names = ["apple_pie", *(f"dish_{i}" for i in range(100))]
    write(root / "food-101" / "meta" / "test.json", json.dumps({name: [f"{name}/1"] for name in names}))
    for name in names:
        picture(root / "food-101" / "images" / name / "1.jpg")


def make_eurosat(root: Path) -> None:
    for name in SATELLITE:
        picture(root / "eurosat" / "2750" / name / f"{name}_1.jpg", 64)


def make_dtd(root: Path) -> None:
    names = ["polka-dotted", *(f"texture{i}" for i in range(46))]
    write(
        root / "dtd" / "dtd" / "labels" / "test1.txt",
        "\n".join(f"{name}/{name}_1.jpg" for name in names) + "\n",
    )
    for name in names:
        picture(root / "dtd" / "dtd" / "images" / name / f"{name}_1.jpg")


def make_pcam(root: Path) -> None:
    import h5py

    (root / "pcam").mkdir()
    with h5py.File(root / "pcam" / "camelyonpatch_level_2_split_test_x.h5", "w") as file:
        file["x"] = np.zeros((3, 96, 96, 3), np.uint8)
    with h5py.File(root / "pcam" / "camelyonpatch_level_2_split_test_y.h5", "w") as file:
        file["y"] = np.array([1, 0, 1]).reshape(3, 1, 1, 1)


def make_tiny_imagenet(root: Path) -> None:
    folder = root / "tiny-imagenet-200"
    wnids = [f"n{i:08d}" for i in range(200)]
    write(folder / "wnids.txt", "\n".join(wnids) + "\n")
    write(
        folder / "words.txt",
        "\n".join(f"{w}\tpeculiar thing {i}, other {i}" for i, w in enumerate(wnids)) + "\n",
    )
    write(
        folder / "val" / "val_annotations.txt",
        "".join(f"val_{i}.JPEG\t{wnids[i]}\t0\t0\t9\t9\n" for i in range(3)),
    )
    for i in range(3):
        picture(folder / "val" / "images" / f"val_{i}.JPEG", 64)


# What makes the replica; one class (by index) and its whole prompt; the label of the first picture in the
# data set's order.
REPLICAS = {
    "CIFAR10": (make_cifar10, 3, "This is a photo of a cat.", 2),
    "CIFAR100": (make_cifar100, 2, "This is a photo of a lawn_mower.", 2),
    "STL10": (make_stl10, 2, "This is a photo of a car.", 2),
    "ImageNet": (make_imagenet, 7, "This is a photo of a great white shark 7.", 0),
    "Caltech101": (make_caltech101, 2, "This is a photo of a car_side.", 0),
    "Caltech256": (make_caltech256, 1, "A photo of a airplanes.", 0),
    "OxfordPets": (make_pets, 0, "A photo of a american pit bull, a type of pet.", 0),
    "Flowers102": (make_flowers, 1, "A photo of a hard leaved pocket orchid, a type of flower.", 101),
    "FGVCAircraft": (make_aircraft, 0, "A photo of a boeing 707-320, a type of aircraft.", 1),
    "StanfordCars": (make_cars, 0, "A photo of a am general hummer suv.", 0),
    "SUN397": (make_sun, 1, "This is a photo of a apartment_building/outdoor.", 0),
    "Country211": (make_countries, COUNTRIES.index("KR"), "A photo I took in Korea, Republic of.", 0),
    "Food101": (make_food, 0, "A photo of apple pie, a type of food.", 0),
    "EuroSAT": (make_eurosat, 3, "A centered satellite photo of a highway or a road.", 0),
    "DTD": (make_dtd, 0, "A surface with a polka dotted texture.", 0),
    "PCAM": (make_pcam, 1, "This is a photo of a lymph node tumor tissue.", 1),
    "TinyImageNet": (make_tiny_imagenet, 5, "a photo of a peculiar thing 5.", 0),
}


def test_every_row_has_a_replica():
    assert (
        set(REPLICAS) == set(DATASETS) - {OWN, "Examples"} == {*PAPERS, "TinyImageNet"}
        and len(REPLICAS) == 17
    )


@pytest.mark.parametrize("key", REPLICAS)
def test_a_row_loads_from_its_layout(key, tmp_path, monkeypatch, clip):
    make, index, prompt, first = REPLICAS[key]
    make(tmp_path)
    for module in (tv.cifar, tv.stl10, tv.flowers102):  # the replicas' checksums are their own
        monkeypatch.setattr(
            module, "check_integrity", lambda path, md5=None: Path(path).exists(), raising=False
        )
    pile = pile_of(key, tmp_path, 64)
    alike = {"ImageNet": 1, "Caltech101": 1, "StanfordCars": 1}.get(key, 0)
    assert len(pile.names) == DATASETS[key].classes and len(set(pile.names)) == len(pile.names) - alike
    assert clip.text_features(pile.names, pile.template).shape[0] == len(pile.names)
    assert pile.template.replace("{}", pile.names[index]) == prompt
    everything = pile.load(torch.arange(len(pile.indices)))
    assert everything.pictures.shape[1:] == (3, 64, 64) and everything.pictures.dtype == torch.uint8
    assert everything.labels[everything.indices == 0].item() == first
    assert 0 <= everything.labels.min() and everything.labels.max() < len(pile.names)


@pytest.mark.parametrize("key", [key for key in REPLICAS])
def test_what_is_not_there_is_said_with_its_layout(key, tmp_path):
    with pytest.raises(DatasetUnavailable) as missing:
        pile_of(key, tmp_path, 64)
    message = str(missing.value)
    assert DATASETS[key].title in message and DATASETS[key].layout in message and str(tmp_path) in message
    assert ("--download" in message) is not DATASETS[key].by_hand


def test_a_download_that_fails_says_what_to_do(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr(tv.dtd, "download_and_extract_archive", offline)
    with pytest.raises(DatasetUnavailable, match="could not be downloaded.*dtd/dtd/images"):
        pile_of("DTD", tmp_path, 64, download=True)


def test_a_broken_picture_is_named(tmp_path):
    picture(tmp_path / "cat" / "1.png")
    (tmp_path / "cat" / "2.png").write_bytes(b"not a picture")
    picture(tmp_path / "dog" / "1.png")
    with pytest.raises(DatasetUnavailable, match="cat/2.png cannot be read .*leave all such pictures out"):
        pile_of(str(tmp_path), Path("nowhere"), 64)
    pile = pile_of(str(tmp_path), Path("nowhere"), 64, skip_unreadable=True)
    assert sorted(pile.indices.tolist()) == [0, 2] and pile.size == 3 and set(pile.left_out) == {1}
    assert len(pile.load(torch.arange(2))) == 2


def test_a_run_that_takes_more_pictures_goes_on_though_more_cannot_be_read(tmp_path, clip):
    """And counts those that were left out of what it took alone."""
    for number in range(12):
        picture(tmp_path / "data" / ("cat", "dog")[number % 2] / f"{number}.png")
    pile = partial(pile_of, str(tmp_path / "data"), Path("nowhere"), 64, skip_unreadable=True)
    order = pile().indices.tolist()
    for place in (1, 4):
        pile().file_of(order[place]).write_bytes(b"not a picture")
    whole = pile()
    assert whole.left_out == {order[1]: 1, order[4]: 3}
    setup, plan = Setup("photo", clip), Plan([Trial.read("clean")], ["none"], 1)
    for some, count in ((whole.first(1), 0), (whole.first(3), 1), (pile(limit=6), 2)):
        records = open_records(tmp_path / "out", setup, {"mine": some}, plan)
        heading = said_of(records.read(), settings_of(tmp_path / "out"))[1]
        assert heading.endswith(f"Left out, as they could not be read: {count} of mine." if count else "32.")


def test_a_picture_of_far_too_many_pixels_is_named(tmp_path):
    """PIL takes it for a bomb, with an error that is none of its others."""
    picture(tmp_path / "cat" / "1.png")
    Image.new("1", (14_000, 14_000)).save(tmp_path / "cat" / "large.png")
    picture(tmp_path / "dog" / "1.png")
    with pytest.raises(DatasetUnavailable, match=r"cat/large.png cannot be read \(.*196000000 pixels"):
        pile_of(str(tmp_path), Path("nowhere"), 64)


@pytest.mark.parametrize(
    "key, named",
    [
        ("DTD", "texture[0-9]+_1.jpg"),
        ("Country211", "[A-Z][A-Z]/0.jpg"),
        ("OxfordPets", "_7.jpg"),
        ("Food101", ".jpg"),
        ("PCAM", "Picture [0-9]+ of PCAM under"),
    ],
)
def test_a_broken_picture_of_a_set_is_named_by_its_file_or_else_by_its_number(
    key, named, tmp_path, monkeypatch
):
    REPLICAS[key][0](tmp_path)
    pile = pile_of(key, tmp_path, 64, limit=1)
    monkeypatch.setattr(piles, "fitted", lambda *args: (_ for _ in ()).throw(ValueError("odd")))
    with pytest.raises(DatasetUnavailable, match=rf"{named}.* cannot be read \(odd\)"):
        pile.load(torch.arange(1))


@pytest.mark.parametrize("key", sorted({*REPLICAS} - {"CIFAR10", "CIFAR100", "STL10", "PCAM"}))
def test_the_files_of_every_set_are_read_as_the_lab_reads_a_picture(key, tmp_path, monkeypatch):
    """16 bits of grey come out white otherwise; and a damaged one is named before anything is attacked."""
    monkeypatch.setattr(tv.flowers102, "check_integrity", lambda path, md5=None: Path(path).exists())
    REPLICAS[key][0](tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.suffix in (".jpg", ".JPEG")]
    for file in files:
        Image.fromarray(np.full((80, 80), 117 * 257, np.uint16)).save(file, "png")
    found = pile_of(key, tmp_path, 64, limit=3).load(torch.arange(2))
    assert found.pictures.unique().tolist() == [117]
    for file in files:
        file.write_bytes(b"no picture")
    with pytest.raises(DatasetUnavailable, match=r"\.(jpg|JPEG) cannot be read"):
        pile_of(key, tmp_path, 64)


def test_too_few_classes_are_noticed(tmp_path):
    picture(tmp_path / "country211" / "test" / "FR" / "0.jpg")
    with pytest.raises(DatasetUnavailable, match="1 classes instead of 211"):
        pile_of("Country211", tmp_path, 64)


def test_a_folder_of_your_own(tmp_path):
    for name in ("race_car", "cat"):
        picture(tmp_path / name / "1.png")
    pile = pile_of(str(tmp_path), Path("nowhere"), 64)
    assert pile.names == ("cat", "race car") and pile.size == 2
    with pytest.raises(DatasetUnavailable, match="one sub-folder a class"):
        pile_of(str(tmp_path / "cat"), Path("nowhere"), 64)


def test_a_folder_is_read_as_the_lab_reads_a_picture(tmp_path):
    """16 bits of grey, a turned photograph, four colours of print, and a palette."""
    (tmp_path / "a").mkdir()
    picture(tmp_path / "b" / "1.png")
    grey = np.full((300, 400), 117 * 257, np.uint16)
    Image.fromarray(grey).save(tmp_path / "a" / "grey16.png")
    half = Image.new("RGB", (400, 300), "red")
    half.paste("blue", (0, 0, 400, 150))
    turned = Image.Exif()
    turned[0x0112] = 6
    half.save(tmp_path / "a" / "turned.JPG", exif=turned)
    half.convert("CMYK").save(tmp_path / "a" / "print.jpeg")
    half.quantize(8).save(tmp_path / "a" / "palette.gif")
    Image.new("LA", (50, 50), (0, 0)).save(tmp_path / "a" / "seen through.png")
    pile = pile_of(str(tmp_path), Path("nowhere"), 64)
    found = pile.load(torch.arange(len(pile.indices)))
    by_name = dict(
        zip(["grey16", "palette", "print", "seen", "turned"], found.pictures[found.indices.argsort()])
    )
    for name, file in zip(by_name, sorted((tmp_path / "a").iterdir())):
        assert torch.equal(by_name[name], fitted(open_picture(file), 64))
    assert by_name["grey16"].float().mean().round() == 117 and by_name["seen"].min() == 255
    assert by_name["turned"][2, :, 60].float().mean() > 200 > by_name["turned"][2, :, 3].float().mean()


def test_what_systems_leave_in_folders_is_no_picture_and_no_class(tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / name / "1.png")
        picture(tmp_path / name / "2.JPG")
        picture(tmp_path / name / "deeper" / "3.jpeg")
        (tmp_path / name / "4.jfif").write_bytes((tmp_path / name / "2.JPG").read_bytes())
        for hidden in ("._1.png", ".DS_Store", "Thumbs.db", "desktop.ini", "notes.txt"):
            (tmp_path / name / hidden).write_bytes(b"no picture")
    for folder in (".ipynb_checkpoints", "__MACOSX", ".git"):
        picture(tmp_path / folder / "1.png")
    pile = pile_of(str(tmp_path), Path("nowhere"), 64)
    assert pile.names == ("a", "b") and pile.size == 8


def test_hidden_files_do_not_end_the_papers_sets(tmp_path):
    places = {
        "Caltech101": "caltech101/101_ObjectCategories",
        "Caltech256": "caltech256/256_ObjectCategories",
        "Country211": "country211/test",
        "EuroSAT": "eurosat/2750",
    }
    for key in places:
        REPLICAS[key][0](tmp_path)
    sizes = {key: pile_of(key, tmp_path, 64).size for key in places}
    for place in places.values():
        (tmp_path / place / ".DS_Store").write_bytes(b"")
        picture(tmp_path / place / ".hidden" / "1.jpg")
    shutil.rmtree(tmp_path / places["Caltech101"] / "BACKGROUND_Google")
    assert sizes == {key: pile_of(key, tmp_path, 64).size for key in sizes}


@pytest.mark.parametrize(
    "make, why",
    [
        (lambda root: (root / "a").mkdir(), "the folder “a” has no picture in it\\)"),
        (
            lambda root: write(root / "a" / "notes.txt", "x"),
            "the folder “a” has no picture in it, but notes.txt",
        ),
        (lambda root: None, "one class only, “b”"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said(tmp_path, make, why):
    picture(tmp_path / "b" / "1.png")
    make(tmp_path)
    with pytest.raises(DatasetUnavailable, match=why):
        pile_of(str(tmp_path), Path("nowhere"), 64)


def test_a_set_s_real_fault_is_not_dropped(tmp_path):
    REPLICAS["EuroSAT"][0](tmp_path)
    picture(tmp_path / "eurosat" / "2750" / "Moon" / "1.jpg")
    with pytest.raises(DatasetUnavailable, match="“Moon” is none of its classes\\): put eurosat"):
        pile_of("EuroSAT", tmp_path, 64)


def test_the_examples_are_always_there():
    pile = pile_of("Examples", Path("nowhere"), 64)
    everything = pile.load(torch.arange(len(pile.indices)))
    assert (
        len(pile.names) == 9
        and [pile.names[i] for i in everything.labels[everything.indices.argsort()]][0] == "lion"
    )


def test_the_first_pictures_of_a_larger_limit_are_those_of_a_smaller(tmp_path):
    make_countries(tmp_path)
    few, many, other = (pile_of("Country211", tmp_path, 64, *of) for of in ((5, 1), (50, 1), (50, 2)))
    assert torch.equal(few.indices, many.indices[:5]) and not torch.equal(many.indices, other.indices)


def test_countries_have_names_of_their_own():
    known = {country.alpha_2 for country in pycountry.countries}
    assert len(COUNTRIES) == 211 and set(COUNTRIES) - known == {"XK"}


def test_the_protocol_resizes_and_cuts_out_the_centre():
    wide = Image.new("RGB", (512, 256))
    wide.paste((255, 255, 255), (144, 16, 368, 240))  # what 256 on the shorter side and the central 224 leave
    assert (fitted(wide, 224) == 255).all() and not (fitted(wide, 225) == 255).all()
    assert fitted(Image.new("L", (300, 200)), 64).shape == (3, 64, 64)
    native = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert np.array_equal(fitted(native, 64, whole=True).permute(1, 2, 0), np.asarray(native))
    assert not np.array_equal(
        fitted(native, 64).permute(1, 2, 0), np.asarray(native)
    )  # for every set but Tiny ImageNet


def test_the_protocol_resizes_bilinearly():
    """Against Pillow's own filter; stripes that the nearest pixel, or another filter, draws otherwise."""
    stripes = np.zeros((300, 300, 3), np.uint8)
    stripes[:, ::3] = 255
    stripes[::5] //= 2
    picture = Image.fromarray(stripes)
    side = round(64 * 256 / 224)
    edge = round((side - 64) / 2)
    small = picture.resize((side, side), Image.Resampling.BILINEAR)
    expected = np.asarray(small.crop((edge, edge, edge + 64, edge + 64)))
    assert np.array_equal(fitted(picture, 64).permute(1, 2, 0), expected)


def test_plain_names():
    assert plain("Polka-dotted_view ") == "polka dotted view"


def test_another_file_makes_it_another_data_set(tmp_path):
    for name in ("cat/1.png", "cat/2.png", "dog/1.png"):
        picture(tmp_path / name)
    before = pile_of(str(tmp_path), Path("nowhere"), 64).description
    assert before == pile_of(str(tmp_path), Path("nowhere"), 64).description
    (tmp_path / "cat" / "2.png").rename(tmp_path / "cat" / "0.png")
    assert before != pile_of(str(tmp_path), Path("nowhere"), 64).description


def photograph(seed: int) -> Image.Image:
    """A picture of any shape, with edges and texture."""
    rng = np.random.default_rng(seed)
    height, width = rng.integers(180, 700, 2)
    waves = np.add.outer(np.sin(np.arange(height) / rng.integers(2, 40)), np.cos(np.arange(width) / 7))
    noise = rng.normal(0, 20, (height, width, 3))
    return Image.fromarray((waves[..., None] * 40 + noise + 128).clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize("side", [224, 336])
def test_both_ways_of_resizing_are_pixel_for_pixel_the_paper_s_and_clip_s(side):
    """The paper's code has torchvision's Resize(256) and CenterCrop(224); CLIP's own is open_clip's."""
    paper = transforms.Compose(
        [transforms.Resize(round(side * 256 / 224)), transforms.CenterCrop(side), transforms.PILToTensor()]
    )
    for seed in range(10):
        picture = photograph(seed)
        assert torch.equal(fitted(picture, side), paper(picture))
        for mode, squash in (("shortest", False), ("squash", True)):
            own = open_clip.image_transform(side, is_train=False, resize_mode=mode).transforms[:-1]
            expected = transforms.Compose(own)(picture) * 255
            found = fitted(picture, side, resize=Resize("clip", 1.0, "bicubic", squash))
            assert torch.equal(found, expected.round().byte())
        assert not torch.equal(fitted(picture, side), found)


@pytest.fixture
def kept_twice(tmp_path, monkeypatch) -> dict:
    """CIFAR10 as torchvision's arrays and as a folder a class, ten pictures each."""
    monkeypatch.setattr(tv.cifar, "check_integrity", lambda path, md5=None: Path(path).exists())
    (tmp_path / "arrays").mkdir()
    make_cifar10(tmp_path / "arrays")
    arrays = {"data": np.zeros((10, 3072), np.uint8), "labels": list(range(10))}
    (tmp_path / "arrays/cifar-10-batches-py/test_batch").write_bytes(pickle.dumps(arrays))
    for name in pile_of("CIFAR10", tmp_path / "arrays", 64).names:
        picture(tmp_path / f"folders/CIFAR10/{name}/1.png")
    return {way: pile_of("CIFAR10", tmp_path / way, 64) for way in ("arrays", "folders")}


@pytest.mark.parametrize("first, then", [("arrays", "folders"), ("folders", "arrays")])
def test_records_of_a_set_that_is_kept_in_another_way_are_not_mixed(tmp_path, clip, kept_twice, first, then):
    """Other pictures may have the same numbers. Those of before that was written down go on."""
    assert kept_twice[first].description == kept_twice[then].description
    plan, out = Plan([Trial.read("clean")], ["none"], 1), tmp_path / "out"
    for pile in (replace(kept_twice[first], source=""), kept_twice[first], kept_twice[first]):
        open_records(out, Setup("photo", clip), {"CIFAR10": pile}, plan)
    with pytest.raises(BenchmarkError, match="other settings, weights, data"):
        open_records(out, Setup("photo", clip), {"CIFAR10": kept_twice[then]}, plan)
