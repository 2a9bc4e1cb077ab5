"""A data set as most people have one that is not laid out as torchvision leaves it: a folder a class, a zip
or a tar of that, webdataset's shards, or the parquet files of the Hugging Face Hub, or what the package
`datasets` has made of them.

Under a data set's own name beside the others, say `data/OxfordPets/Abyssinian/1.jpg`, `data/OxfordPets.zip`
or `data/OxfordPets/test-00000-of-00001.parquet`, it is read in place. One folder around all is looked into,
and one called test, val or validation where there are several parts. What the classes are called is
translated, and put into the official order, by `official`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from demo_core.benchmark import parquets, shards
from demo_core.benchmark.folders import LayoutError, Listed, is_picture, no_picture
from demo_core.benchmark.official import NO_CLASSES, Words, labelled, spelling
from demo_core.benchmark.parts import PARTS
from demo_core.benchmark.trees import COMPRESSED, TAR, ZIP, InTree, Tree

ORDER = "classes.txt"
FILES = (ZIP, TAR, parquets.PARQUET, parquets.ARROW)  # what a data set may be in one file
_ENDING = re.compile(rf"({'|'.join(map(re.escape, (*FILES, *COMPRESSED)))})$", re.IGNORECASE)
# Under which names sets go about beside their own, on the Hugging Face Hub or unpacked as their authors
# packed them.
ALIASES = {
    "Caltech101": ("101_ObjectCategories",),
    "Caltech256": ("256_ObjectCategories",),
    "EuroSAT": ("2750", "EuroSAT_RGB"),
    "FGVCAircraft": ("aircraft",),
    "Flowers102": ("flowers", "102flowers", "oxford-flowers", "oxford_flowers102"),
    "ImageNet": ("imagenet-1k", "ILSVRC2012", "ILSVRC"),
    "OxfordPets": ("pets", "oxford-iiit-pet"),
    "PCAM": ("PatchCamelyon",),
    "StanfordCars": ("cars",),
}
PREFIXES = re.compile(r"^(wds)?(vtab)?(?=.)")  # of the sets of CLIP's benchmark, which are shards


def place_of(key: str, root: Path, beside: str = "") -> Path | None:
    """Where a data set of this name, or of another that it has, lies under the root: a folder, also one of
    the hub's cache, or a file. beside: the folder that torchvision looks into."""
    if not root.is_dir():
        return None
    wanted = [spelling(name) for name in (key, beside, *ALIASES.get(key, ()))]
    found = []
    for path in sorted(root.iterdir()):
        name = _ENDING.sub("", path.name)
        called = PREFIXES.sub("", spelling(re.split("--|___", name)[-1]))
        if called in wanted and (path.is_dir() or name != path.name):
            found.append((wanted.index(called), _ENDING.search(path.name) is not None, path))
    return min(found)[-1] if found else None


def opened(key: str, place: Path, named: Callable[[str], str]) -> tuple[Listed, list[str]]:
    """The pictures, and the names of all classes in their order. key: the set's, by which its classes are
    known, if they are; named: a folder's name -> the class's. Raises LayoutError."""
    if files := parquets.files_in(place):
        return parquets.opened(key, place, files, named)
    tree = Tree.of(place).without(NO_CLASSES.get(key, ()))
    if samples := shards.samples_in(tree):
        names, labels = labelled(key, place.name, samples.words, named)
        rows = list(zip(samples.pictures, samples.classes))
    else:
        pictures, order = classes_in(tree)
        names, labels = labelled(key, place.name, Words(set(pictures), order), named)
        rows = [(name, folder) for folder, files in pictures.items() for name in files]
    found = sorted((labels[word], name) for name, word in rows if word in labels)
    return InTree(tree, [name for _, name in found], [label for label, _ in found]), names


def classes_in(tree: Tree) -> tuple[dict[str, list[PurePosixPath]], list[str]]:
    """The pictures of each folder, and what a file ORDER says of the folders' order. Raises LayoutError."""
    names, inside = list(tree.files), PurePosixPath()
    while len(tops := {name.relative_to(inside).parts[0] for name in names}) == 1 or _part(tops):
        step = inside / (_part(tops) or tops.pop())
        deeper = [name for name in names if step in name.parents]
        if not any(len(name.relative_to(step).parts) > 1 for name in deeper):
            break  # the folder of a class
        inside, names = step, deeper
    found: dict[str, list[PurePosixPath]] = {}
    for name in names:
        first, *rest = name.relative_to(inside).parts
        if rest:
            found.setdefault(first, []).append(name)
    if not found:
        raise LayoutError(f"{tree.place.name} has no folders in it")
    for folder in tree.folders:
        if folder.parent == inside and folder.name not in found:
            raise no_picture(folder.name)
    pictures = {folder: [name for name in files if is_picture(name)] for folder, files in found.items()}
    if empty := next((folder for folder, files in pictures.items() if not files), None):
        raise no_picture(empty, found[empty][0].name)
    return pictures, tree.lines(inside / ORDER) if inside / ORDER in tree.files else []


def _part(tops: set[str]) -> str | None:
    by_name = {top.lower(): top for top in tops}
    return next((by_name[part] for part in PARTS if part in by_name), None)
