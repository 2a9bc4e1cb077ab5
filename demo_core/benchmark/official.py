"""The classes of the paper's sets in their official order, whatever a disk calls them: by the folder's name
of the authors of the set, by the paper's or CLIP's authors' name in any spelling, or by a number.

assets/classes has a table a set, a class a line, in the order of torchvision: the folder's name, the name in
the prompts that CLIP's authors published (github.com/openai/CLIP, data/prompts.md; they have none for
Caltech256), and other names under which it goes about. ImageNet's come with timm (wnids and words) and
open_clip (CLIP's names).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pycountry
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES
from timm.data.imagenet_info import ImageNetInfo

from demo_core.benchmark.folders import LayoutError
from demo_core.models import ASSETS

CLASSES = ASSETS / "classes"
# Folders of a set that are none of its classes, by their spelling.
NO_CLASSES = {"Caltech101": {"backgroundgoogle", "background", "annotations"}}
WNID = re.compile(r"n\d{8}")


def plain(name: str) -> str:
    """A class name as the authors write it into most of their prompts: lower case, no underscores or
    hyphens."""
    return " ".join(name.lower().translate(str.maketrans("_-", "  ")).split())


def spelling(name: str) -> str:
    """What two spellings of a class have in common."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


@dataclass(frozen=True)
class Class:
    """A class by the name of its folder, by CLIP's authors' name (empty where they have none), and by
    others."""

    folder: str
    clip: str = ""
    others: tuple[str, ...] = ()


@dataclass(frozen=True)
class Words:
    """What a disk calls the classes of its pictures. found: every word that a picture has. said: what lies
    beside them says of the classes, in their order; from_zero: where the words are numbers, whether they
    count from 0 in any case."""

    found: Collection[str]
    said: Sequence[str] = ()
    from_zero: bool = False

    @property
    def numbers(self) -> bool:
        """Whether all words are numbers."""
        return all(word.isdecimal() for word in self.found)


@lru_cache
def classes(key: str) -> tuple[Class, ...]:
    """Those of a set of the paper in their official order; none of any other."""
    if key == "ImageNet":
        names = _imagenet().label_descriptions()
        rows = zip(_imagenet().label_names(), IMAGENET_CLASSNAMES, names, strict=True)
        return tuple(Class(wnid, clip, (words, *words.split(","))) for wnid, clip, words in rows)
    table = CLASSES / f"{key}.tsv"
    if not table.exists():
        return ()
    with table.open(encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return tuple(Class(folder, (*others, "")[0], tuple(others[1:])) for folder, *others in lines)


@lru_cache
def _imagenet() -> Any:
    return ImageNetInfo("imagenet-1k")  # type: ignore[no-untyped-call, unused-ignore]


@lru_cache
def _wordnet() -> dict[str, str]:
    """The words of every synset of WordNet that ImageNet has pictures of, by its wnid."""
    info: Any = ImageNetInfo("imagenet-22k")  # type: ignore[no-untyped-call, unused-ignore]
    return dict(zip(info.label_names(), info.label_descriptions()))


def own_name(folder: str) -> str:
    """A class's name by the folder of one's own: what it says, or the first of a wnid's words."""
    words = _wordnet().get(folder, "") if WNID.fullmatch(folder) else ""
    return plain(words.split(",")[0] or folder)


def wnid_name(wnid: str) -> str:
    """A class of ImageNet by the first of its words."""
    return plain(_imagenet().label_name_to_description(wnid).split(",")[0])


def person_name(name: str) -> str:
    """Both of Caltech101's folders of faces are people."""
    return "person" if name in ("Faces", "Faces_easy") else name


def numbered_name(name: str) -> str:
    """Caltech256's folders begin with a number."""
    return plain(name.split(".", 1)[-1].removesuffix("-101"))


def car_name(name: str) -> str:
    """Without the year, which comes last."""
    return plain(name.rsplit(" ", 1)[0])


def aircraft_name(name: str) -> str:
    """Variants that start with a 7 are Boeings."""
    return (f"Boeing {name}" if name.startswith("7") else name).lower().replace("_", " ")


def country_name(code: str) -> str:
    """Raises LayoutError."""
    if code == "XK":
        return "Kosovo"
    if (found := pycountry.countries.get(alpha_2=code)) is None:
        raise LayoutError(f"“{code}” is no country’s two letters")
    return str(found.name).replace("-", " ")


SATELLITE = {
    "AnnualCrop": "annual crop land",
    "Forest": "a forest",
    "HerbaceousVegetation": "brushland or shrubland",
    "Highway": "a highway or a road",
    "Industrial": "industrial buildings",
    "Pasture": "pasture land",
    "PermanentCrop": "permanent crop land",
    "Residential": "residential buildings",
    "River": "a river",
    "SeaLake": "a sea or a lake",
}


def land_name(folder: str) -> str:
    """Raises LayoutError."""
    if folder not in SATELLITE:
        raise LayoutError(f"“{folder}” is none of its classes")
    return SATELLITE[folder]


def labelled(
    key: str, where: str, words: Words, named: Callable[[str], str]
) -> tuple[list[str], dict[str, int]]:
    """The names of a set's classes, all of them, in their official order, and which one each word of a disk
    is. named: a folder's name -> the name in prompts; where: what sentences call the place. Of no set of the
    paper the classes are those that are there, in the order that is said, or the alphabet's, whatever the
    case; a word that is none of its classes by NO_CLASSES is none here. Raises LayoutError."""
    rows, numbered = classes(key), all(name.isdecimal() for name in words.said)
    if rows and words.said and numbered and words.numbers and words.from_zero:
        return _numbered_twice(key, where, words, named)
    said = () if numbered else words.said
    known: dict[str, int] = {}  # by the word itself
    if rows:
        names, of_spelling = [named(row.folder) for row in rows], _known(rows, named)
    elif words.numbers and words.from_zero and not said:
        raise LayoutError(f"the labels in {where} are numbers, and no classes.txt in it says what they mean")
    else:
        folders = said or sorted(words.found, key=lambda word: (word.casefold(), word))
        alone = [[folder] for folder in folders]
        names, known, of_spelling = [*map(named, folders)], _by(str, alone), _by(spelling, alone)
    last = len(said) or len(rows)
    labels = _numbered(words, where, last) if words.numbers and last else {}
    for word in words.found:
        if said or word not in labels:
            name = said[labels[word]] if labels.get(word, len(said)) < len(said) else word
            if spelling(name) in NO_CLASSES.get(key, ()):
                labels.pop(word, None)
                continue
            labels[word] = known.get(name, of_spelling.get(spelling(name), -1))
        if not 0 <= labels[word] < len(names):
            fault = "may be several" if labels[word] == SEVERAL else "is none"
            raise LayoutError(f"“{word}” in {where} {fault} of its {len(names)} classes")
    return names, labels


def _numbered_twice(
    key: str, where: str, words: Words, named: Callable[[str], str]
) -> tuple[list[str], dict[str, int]]:
    """`labelled` of words that are places in a list of numbers: of folders 1 to 102, say, in the order of
    their letters."""
    names, labels = labelled(key, where, Words(set(words.said)), named)
    if beyond := next((word for word in words.found if int(word) >= len(words.said)), None):
        raise LayoutError(f"“{beyond}” in {where} is none of its {len(words.said)} classes")
    return names, {word: labels[words.said[int(word)]] for word in words.found}


def _numbered(words: Words, where: str, last: int) -> dict[str, int]:
    """The places of classes that are numbers, of which the last, counted from 1, is this. Raises LayoutError
    where it cannot be known which is the first."""
    numbers = {int(word) for word in words.found}
    if not (words.from_zero or numbers & {0, last}):
        raise LayoutError(
            f"the classes in {where} are numbers, of which neither 0 nor {last} is there to tell whether they"
            " count from 0 or 1"
        )
    first = 0 if words.from_zero or 0 in numbers else 1
    return {word: int(word) - first for word in words.found}


SEVERAL = -2  # in place of the class of a name that several have


def _known(rows: Sequence[Class], named: Callable[[str], str]) -> dict[str, int]:
    """The class of each spelling; a name counts before those that are less official."""
    kinds: list[list[Sequence[str]]] = [
        [[row.folder] for row in rows],
        [[named(row.folder)] for row in rows],
        [[row.clip] for row in rows],
        [row.others for row in rows],
    ]
    known: dict[str, int] = {}
    for kind in kinds:
        known = _by(spelling, kind) | known
    return known


def _by(spelled: Callable[[str], str], names: Sequence[Sequence[str]]) -> dict[str, int]:
    """The class of each name, as it is spelled; nothing of one of which no letter is left."""
    found: dict[str, int] = {}
    for label, spellings in enumerate(names):
        for one in filter(None, map(spelled, spellings)):
            found[one] = label if found.get(one, label) == label else SEVERAL
    return found
