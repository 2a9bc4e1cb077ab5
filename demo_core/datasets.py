"""Data sets to benchmark with: DATASETS, the sixteen of the paper, Tiny ImageNet, the app's examples, and a folder of
your own.

Each row follows the protocol of the paper's code: its split, its prompts, and for every picture resize to 256 on the
shorter side, bilinear, and the central 224 (in proportion where a model takes another size). torchvision reads the
files. To add a data set is to add a row.
"""
from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from babel import Locale
from PIL import Image
from torch.utils.data import Subset
from torchvision import datasets as tv
from torchvision.transforms.v2 import functional as vision

from demo_core.examples import EXAMPLES
from demo_core.labels import DEFAULT_TEMPLATE
from demo_core.pocket.captions import read_vocabulary
from demo_core.pocket.photographs import list_split

PHOTO = "This is a photo of a {}."
READERS = 8  # threads that read and decode pictures


class DatasetUnavailable(RuntimeError):
    """A data set cannot be had here. The message is one sentence that says what to do."""


# A data set as torchvision gives it, pictures and labels by index, with the names of its classes.
Opened = tuple[Sequence[tuple[Image.Image, int]], Sequence[str]]


@dataclass(frozen=True)
class Dataset:
    """A row of the table.

    title: as papers print it. open: (root folder, whether to download) -> Opened. classes: how many there are; None
    where the folder says. layout: what must lie under the root folder. template: the prompt, with {} for a class name.
    by_hand: it cannot be downloaded.
    """

    title: str
    open: Callable[[Path, bool], Opened]
    classes: int | None
    layout: str
    template: str = PHOTO
    by_hand: bool = False


def plain(name: str) -> str:
    """A class name as the authors write it in a prompt: lower case, no underscores, hyphens or slashes."""
    return " ".join(name.lower().translate(str.maketrans("_-/", "   ")).split())


def _simple(kind: type, name: Callable[[str], str] = plain, **options) -> Callable[[Path, bool], Opened]:
    """A torchvision data set whose `classes` only need to be written out."""
    def opened(root: Path, download: bool) -> Opened:
        found = kind(str(root), download=download, **options)
        return found, [name(raw) for raw in found.classes]

    return opened


def _imagenet(root: Path, download: bool) -> Opened:
    found = tv.ImageNet(str(root / "imagenet"), split="val")
    return found, [plain(synonyms[0]) for synonyms in found.classes]


def _caltech101(root: Path, download: bool) -> Opened:
    found = tv.Caltech101(str(root), download=download)  # leaves BACKGROUND_Google out
    return found, [plain(name) for name in found.categories]


def _caltech256(root: Path, download: bool) -> Opened:
    found = tv.Caltech256(str(root), download=download)
    return found, [plain(name.split(".", 1)[-1].removesuffix("-101")) for name in found.categories]


def _sun397(root: Path, download: bool) -> Opened:
    found = tv.SUN397(str(root), download=download)
    in_order = sorted(range(len(found)), key=lambda i: str(found._image_files[i]))  # torchvision's is the disk's
    return Subset(found, in_order), [plain(name) for name in found.classes]


def _country211(root: Path, download: bool) -> Opened:
    found = tv.Country211(str(root), split="test", download=download)
    territories = Locale("en").territories
    return found, [territories[code].replace("&", "and").removesuffix(" SAR China") for code in found.classes]


def _cars(name: str) -> str:
    """Without the year, which comes last."""
    return name.rsplit(" ", 1)[0]


def _aircraft(name: str) -> str:
    """Variants that start with a 7 are Boeings."""
    return f"Boeing {name}" if name.startswith("7") else name


SATELLITE = {"AnnualCrop": "annual crop land", "Forest": "forest", "HerbaceousVegetation": "brushland or shrubland",
             "Highway": "highway or road", "Industrial": "industrial buildings or commercial buildings",
             "Pasture": "pasture land", "PermanentCrop": "permanent crop land",
             "Residential": "residential buildings or homes or apartments", "River": "river", "SeaLake": "lake or sea"}


def _pcam(root: Path, download: bool) -> Opened:
    return tv.PCAM(str(root), split="test", download=download), ["healthy lymph node tissue", "lymph node tumor tissue"]


class _Listed(Sequence):
    """Pictures on disk by path, with their labels."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int]):
        self.paths, self.labels = paths, labels

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Image.Image, int]:
        with Image.open(self.paths[index]) as picture:
            return picture.convert("RGB"), self.labels[index]


def _tiny_imagenet(root: Path, download: bool) -> Opened:
    folder = root / "tiny-imagenet-200"
    if download and not folder.is_dir():
        tv.utils.download_and_extract_archive("http://cs231n.stanford.edu/tiny-imagenet-200.zip", str(root))
    vocabulary = read_vocabulary(folder)
    return _Listed(*list_split(folder, "val", vocabulary.wnids)), vocabulary.names


def _folder(root: Path, download: bool) -> Opened:
    found = tv.ImageFolder(str(root))
    return found, [plain(name) for name in found.classes]


def _examples(root: Path, download: bool) -> Opened:
    words = [example.title.split()[-1] for example in EXAMPLES]
    names = list(dict.fromkeys(words))
    return _Listed([Path(example.path) for example in EXAMPLES], [names.index(word) for word in words]), names


DATASETS: dict[str, Dataset] = {
    "CIFAR10": Dataset("CIFAR10", _simple(tv.CIFAR10, train=False), 10, "cifar-10-batches-py/test_batch"),
    "CIFAR100": Dataset("CIFAR100", _simple(tv.CIFAR100, train=False), 100, "cifar-100-python/test"),
    "STL10": Dataset("STL10", _simple(tv.STL10, split="test"), 10, "stl10_binary/test_X.bin, test_y.bin and class_names.txt"),
    "ImageNet": Dataset("ImageNet", _imagenet, 1000, "imagenet/ILSVRC2012_img_val.tar and"
                        " imagenet/ILSVRC2012_devkit_t12.tar.gz (from image-net.org, after signing in)", by_hand=True),
    "Caltech101": Dataset("Caltech101", _caltech101, 101, "caltech101/101_ObjectCategories/<class>/image_0001.jpg"),
    "Caltech256": Dataset("Caltech256", _caltech256, 257, "caltech256/256_ObjectCategories/001.ak47/001_0001.jpg",
                          "A photo of a {}."),
    "OxfordPets": Dataset("OxfordPets", _simple(tv.OxfordIIITPet, str, split="test"), 37,
                          "oxford-iiit-pet/images and oxford-iiit-pet/annotations/test.txt", "A photo of a {}, a type of pet."),
    "Flowers102": Dataset("Flowers102", _simple(tv.Flowers102, str, split="test"), 102,
                          "flowers-102/jpg, flowers-102/imagelabels.mat and flowers-102/setid.mat", "A photo of a {}, a type of flower."),
    "FGVCAircraft": Dataset("FGVCAircraft", _simple(tv.FGVCAircraft, _aircraft, split="test", annotation_level="variant"), 100,
                            "fgvc-aircraft-2013b/data", "A photo of a {}, a type of aircraft."),
    "StanfordCars": Dataset("StanfordCars", _simple(tv.StanfordCars, _cars, split="test"), 196,
                            "stanford_cars/cars_test, stanford_cars/devkit and stanford_cars/cars_test_annos_withlabels.mat"
                            " (its site is gone; mirrors have it)", "A photo of a {}.", by_hand=True),
    "SUN397": Dataset("SUN397", _sun397, 397, "SUN397/ClassName.txt and SUN397/a/abbey/sun_….jpg"),
    "Country211": Dataset("Country211", _country211, 211, "country211/test/<two-letter code>", "A photo I took in {}."),
    "Food101": Dataset("Food101", _simple(tv.Food101, split="test"), 101, "food-101/images and food-101/meta/test.json",
                       "A photo of {}, a type of food."),
    "EuroSAT": Dataset("EuroSAT", _simple(tv.EuroSAT, SATELLITE.get), 10, "eurosat/2750/<class>", "A centered satellite photo of {}."),
    "DTD": Dataset("DTD", _simple(tv.DTD, split="test", partition=1), 47, "dtd/dtd/images and dtd/dtd/labels/test1.txt",
                   "A surface with a {} texture."),
    "PCAM": Dataset("PCAM", _pcam, 2, "pcam/camelyonpatch_level_2_split_test_x.h5 and …_y.h5"),
    "TinyImageNet": Dataset("Tiny ImageNet", _tiny_imagenet, 200, "tiny-imagenet-200/val and tiny-imagenet-200/words.txt",
                            DEFAULT_TEMPLATE),
    "Examples": Dataset("The app’s example photographs", _examples, 8, "nothing: they come with installed packages", DEFAULT_TEMPLATE),
}
# What any other key stands for: the path of a folder.
OWN = Dataset("A folder of your own", _folder, None, "one sub-folder a class, named like the class, with pictures in it", by_hand=True)


def fitted(picture: Image.Image, side: int) -> torch.Tensor:
    """uint8 [3,side,side]: the shorter side resized to 256/224 of the model's, bilinear, and the centre cut out. A
    picture of the model's own size is taken whole (Tiny ImageNet before the embedded models)."""
    picture = picture.convert("RGB")
    if picture.size != (side, side):
        picture = vision.center_crop(vision.resize(picture, [round(side * 256 / 224)], vision.InterpolationMode.BILINEAR), [side, side])
    return vision.pil_to_tensor(picture)


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

    indices [N]: theirs in the data set, of `size` pictures; names of all its K classes; template: the prompt; load:
    rows of the pile [B] -> Batch.
    """

    indices: torch.Tensor
    names: tuple[str, ...]
    template: str
    load: Callable[[torch.Tensor], Batch]
    size: int = 0

    @property
    def description(self) -> dict:
        """What records of this data set have in common: its size, its classes and its prompt."""
        words = hashlib.sha256("\n".join((self.template, *self.names)).encode()).hexdigest()[:16]
        return {"size": self.size, "classes": len(self.names), "words": words}


def held(pictures: torch.Tensor, labels: torch.Tensor, names: Sequence[str], indices: torch.Tensor | None = None,
         template: str = DEFAULT_TEMPLATE) -> Pile:
    """A pile of pictures [N,3,S,S] uint8 that are in memory already."""
    everything = Batch(torch.arange(len(labels)) if indices is None else indices, pictures, labels)
    return Pile(everything.indices, tuple(names), template, everything.__getitem__, len(labels))


def pile_of(key: str, root: Path, side: int, limit: int | None = None, seed: int = 0, download: bool = False) -> Pile:
    """A data set of the table, or a folder of your own by its path: `limit` pictures of it chosen at random by the
    seed, or all. Raises DatasetUnavailable."""
    row, place = (DATASETS[key], root) if key in DATASETS else (OWN, Path(key))
    try:
        found, names = row.open(place, download and not row.by_hand)
    except Exception as error:  # torchvision, the download and the file formats raise many kinds
        advice = "" if row.by_hand or download else ", or add --download"
        failed = " could not be downloaded" if download and not row.by_hand else " is not there, or not whole"
        raise DatasetUnavailable(f"{row.title}{failed}: put into {place} {row.layout}{advice}.") from error
    if row.classes and len(names) != row.classes:
        raise DatasetUnavailable(f"{row.title} under {place} has {len(names)} classes instead of {row.classes}: put into"
                                 f" {place} {row.layout}.")
    chosen = torch.randperm(len(found), generator=torch.Generator().manual_seed(seed))[:limit]

    def one(index: int) -> tuple[torch.Tensor, int]:
        try:
            picture, label = found[index]
            return fitted(picture, side), label
        except (OSError, ValueError, SyntaxError) as error:  # what PIL raises where a file is broken
            raise DatasetUnavailable(f"Picture {index} of {row.title} under {place} cannot be read ({error}): replace it.") from error

    def load(rows: torch.Tensor) -> Batch:
        with ThreadPoolExecutor(READERS) as pool:
            pictures, labels = zip(*pool.map(one, chosen[rows].tolist()))
        return Batch(chosen[rows], torch.stack(pictures), torch.tensor(labels))

    return Pile(chosen, tuple(names), row.template, load, len(found))
