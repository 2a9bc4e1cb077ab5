"""Data sets to benchmark with: DATASETS, the sixteen of the paper, Tiny ImageNet, the app's examples, and a
folder of your own.

Each row follows the protocol of the paper's code: its split, its prompts with its class names (the class
names of TeCoA's code, on which the paper's is built), and for every picture resize to 256 on the shorter
side, bilinear, and the central 224 (in proportion where a model takes another size). torchvision reads the
files. To add a data set is to add a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from PIL import Image
from torchvision import datasets as tv

from demo_core.benchmark import layouts
from demo_core.benchmark.folders import Listed, folders_in, listed, relisted
from demo_core.benchmark.official import (
    NO_CLASSES,
    aircraft_name,
    car_name,
    classes,
    country_name,
    land_name,
    numbered_name,
    own_name,
    person_name,
    plain,
    spelling,
    wnid_name,
)
from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE

PHOTO = "This is a photo of a {}."


class Pictures(Protocol):
    """A data set as torchvision gives it: pictures and labels by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> tuple[Image.Image, int]: ...


Opened = tuple[Pictures, Sequence[str]]  # a data set, with the names of its classes


@dataclass(frozen=True)
class Dataset:
    """A row of the table.

    title: as papers print it. open: (root folder, whether to download) -> Opened. classes, pictures: how many
    the whole split has; None where the folder says. layout: what must lie under the root folder. template:
    the prompt, with {} for a class name. by_hand: it cannot be downloaded. whole: pictures of the model's own
    size are taken as they are, neither resized nor cut. departs: how the names of its classes are not those
    that the authors took, where they are not. named: the name of a class by its folder's, in any other layout
    (see demo_core.benchmark.layouts).
    """

    title: str
    open: Callable[[Path, bool], Opened]
    classes: int | None
    pictures: int | None
    layout: str
    template: str = PHOTO
    by_hand: bool = False
    whole: bool = False
    departs: str = ""
    named: Callable[[str], str] = plain


def _test_part(kind: type) -> type:
    """A torchvision data set that does not ask for its training files where only the test files are read."""
    return type(kind.__name__, (kind,), {"train_list": []})


def _simple(
    kind: type, name: Callable[[str], str] = plain, **options: object
) -> Callable[[Path, bool], Opened]:
    """A torchvision data set whose `classes` only need to be written out."""

    def opened(root: Path, download: bool) -> Opened:
        found = kind(str(root), download=download, **options)
        return relisted(found), [name(raw) for raw in found.classes]

    return opened


def _imagenet(root: Path, download: bool) -> Opened:
    found = tv.ImageNet(str(root / "imagenet"), split="val")
    return relisted(found), [plain(synonyms[0]) for synonyms in found.classes]


def _caltech101(root: Path, download: bool) -> Opened:
    if download:
        tv.Caltech101(str(root), download=True)
    found = folders_in(root / "caltech101" / "101_ObjectCategories")
    folders = [folder for folder in found if spelling(folder.name) not in NO_CLASSES["Caltech101"]]
    return listed(folders), [person_name(folder.name) for folder in folders]


def _caltech256(root: Path, download: bool) -> Opened:
    if download:
        tv.Caltech256(str(root), download=True)
    folders = folders_in(root / "caltech256" / "256_ObjectCategories")
    return listed(folders), [numbered_name(folder.name) for folder in folders]


def _sun397(root: Path, download: bool) -> Opened:
    found = tv.SUN397(str(root), download=download)
    # torchvision's order is the disk's
    rows = sorted(zip(found._image_files, found._labels), key=lambda row: str(row[0]))
    return Listed([path for path, _ in rows], [label for _, label in rows]), found.classes


def _country211(root: Path, download: bool) -> Opened:
    if download:
        tv.Country211(str(root), split="test", download=True)
    folders = folders_in(root / "country211" / "test")
    return listed(folders), [country_name(folder.name) for folder in folders]


def _eurosat(root: Path, download: bool) -> Opened:
    if download:
        tv.EuroSAT(str(root), download=True)
    folders = folders_in(root / "eurosat" / "2750")
    return listed(folders), [land_name(folder.name) for folder in folders]


def _flowers102(root: Path, download: bool) -> Opened:
    found = tv.Flowers102(str(root), split="test", download=download)
    return relisted(found), [plain(row.folder) for row in classes("Flowers102")]


TISSUES = ["healthy lymph node tissue", "lymph node tumor tissue"]


def _pcam(root: Path, download: bool) -> Opened:
    return tv.PCAM(str(root), split="test", download=download), TISSUES


def _tiny_imagenet(root: Path, download: bool) -> Opened:
    folder = root / "tiny-imagenet-200"
    if download and not folder.is_dir():
        tv.utils.download_and_extract_archive("http://cs231n.stanford.edu/tiny-imagenet-200.zip", str(root))
    wnids = sorted((folder / "wnids.txt").read_text(encoding="utf-8").split())
    words = dict(
        line.split("\t") for line in (folder / "words.txt").read_text(encoding="utf-8").strip().splitlines()
    )
    rows = [
        line.split("\t")
        for line in (folder / "val" / "val_annotations.txt").read_text(encoding="utf-8").strip().splitlines()
    ]
    paths = [folder / "val" / "images" / row[0] for row in rows]
    return Listed(paths, [wnids.index(row[1]) for row in rows]), [words[wnid].split(",")[0] for wnid in wnids]


def _folder(root: Path, download: bool) -> Opened:
    return layouts.opened("", root, own_name)


def _examples(root: Path, download: bool) -> Opened:
    words = [example.expected for example in EXAMPLES]
    names = list(dict.fromkeys(words))
    return Listed([Path(example.path) for example in EXAMPLES], [names.index(word) for word in words]), names


OF_THE_APP = "Examples"  # which needs no folder, and whose pictures a link can name

DATASETS: dict[str, Dataset] = {
    "CIFAR10": Dataset(
        "CIFAR10",
        _simple(_test_part(tv.CIFAR10), str, train=False),
        10,
        10_000,
        "cifar-10-batches-py/test_batch and cifar-10-batches-py/batches.meta",
        named=str,
    ),
    "CIFAR100": Dataset(
        "CIFAR100",
        _simple(_test_part(tv.CIFAR100), str, train=False),
        100,
        10_000,
        "cifar-100-python/test and cifar-100-python/meta",
        named=str,
    ),
    "STL10": Dataset(
        "STL10",
        _simple(_test_part(tv.STL10), str, split="test"),
        10,
        8_000,
        "stl10_binary/test_X.bin, test_y.bin and class_names.txt",
        named=str,
    ),
    "ImageNet": Dataset(
        "ImageNet",
        _imagenet,
        1000,
        50_000,
        "imagenet/ILSVRC2012_img_val.tar and"
        " imagenet/ILSVRC2012_devkit_t12.tar.gz (from image-net.org, after signing in)",
        by_hand=True,
        departs="classes have the first of ImageNet’s own synonyms; the authors have a list that they cleaned"
        " by hand",
        named=wnid_name,
    ),
    "Caltech101": Dataset(
        "Caltech101",
        _caltech101,
        101,
        8_677,
        "caltech101/101_ObjectCategories/<class>/image_0001.jpg",
        named=person_name,
    ),
    "Caltech256": Dataset(
        "Caltech256",
        _caltech256,
        257,
        30_607,
        "caltech256/256_ObjectCategories/001.ak47/001_0001.jpg",
        "A photo of a {}.",
        named=numbered_name,
    ),
    "OxfordPets": Dataset(
        "OxfordPets",
        _simple(tv.OxfordIIITPet, split="test"),
        37,
        3_669,
        "oxford-iiit-pet/images and oxford-iiit-pet/annotations/test.txt",
        "A photo of a {}, a type of pet.",
    ),
    "Flowers102": Dataset(
        "Flowers102",
        _flowers102,
        102,
        6_149,
        "flowers-102/jpg, flowers-102/imagelabels.mat and flowers-102/setid.mat",
        "A photo of a {}, a type of flower.",
    ),
    "FGVCAircraft": Dataset(
        "FGVCAircraft",
        _simple(tv.FGVCAircraft, aircraft_name, split="test", annotation_level="variant"),
        100,
        3_333,
        "fgvc-aircraft-2013b/data",
        "A photo of a {}, a type of aircraft.",
        named=aircraft_name,
    ),
    "StanfordCars": Dataset(
        "StanfordCars",
        _simple(tv.StanfordCars, car_name, split="test"),
        196,
        8_041,
        "stanford_cars/cars_test, stanford_cars/devkit and stanford_cars/cars_test_annos_withlabels.mat"
        " (its site is gone; mirrors have it)",
        "A photo of a {}.",
        by_hand=True,
        named=car_name,
    ),
    "SUN397": Dataset(
        "SUN397", _sun397, 397, 108_754, "SUN397/ClassName.txt and SUN397/a/abbey/sun_….jpg", named=str
    ),
    "Country211": Dataset(
        "Country211",
        _country211,
        211,
        21_100,
        "country211/test/<two-letter code>",
        "A photo I took in {}.",
        named=country_name,
    ),
    "Food101": Dataset(
        "Food101",
        _simple(tv.Food101, split="test"),
        101,
        25_250,
        "food-101/images and food-101/meta/test.json",
        "A photo of {}, a type of food.",
    ),
    "EuroSAT": Dataset(
        "EuroSAT",
        _eurosat,
        10,
        27_000,
        "eurosat/2750/<class>",
        "A centered satellite photo of {}.",
        named=land_name,
    ),
    "DTD": Dataset(
        "DTD",
        _simple(tv.DTD, split="test", partition=1),
        47,
        1_880,
        "dtd/dtd/images and dtd/dtd/labels/test1.txt",
        "A surface with a {} texture.",
    ),
    "PCAM": Dataset(
        "PCAM",
        _pcam,
        2,
        32_768,
        "pcam/camelyonpatch_level_2_split_test_x.h5 and …_y.h5",
        named=str,
    ),
    "TinyImageNet": Dataset(
        "Tiny ImageNet",
        _tiny_imagenet,
        200,
        10_000,
        "tiny-imagenet-200/val and tiny-imagenet-200/words.txt",
        DEFAULT_TEMPLATE,
        whole=True,
        named=own_name,
    ),
    OF_THE_APP: Dataset(
        "The app’s example photographs",
        _examples,
        len({e.expected for e in EXAMPLES}),
        len(EXAMPLES),
        "nothing: they come with installed packages",
        DEFAULT_TEMPLATE,
    ),
}
PAPERS = tuple(DATASETS)[:16]  # the paper's, over which it averages
# What any other key stands for: the path of a folder.
OWN = Dataset(
    "A folder of your own",
    _folder,
    None,
    None,
    "one sub-folder a class, named like the class, with pictures in it",
    by_hand=True,
)
