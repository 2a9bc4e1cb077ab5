"""WordNet 3.0's nouns, read from the files of its own distribution (Debian: wordnet-base; format: man 5WN
wndb).

A synset is named by the id that ImageNet gives it, `n` and the eight digits of its byte offset ("n02084071"
is dog).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

FOLDER = Path("/usr/share/wordnet")  # where Debian and Ubuntu install it
LEXICOGRAPHER_FILES = {
    3: "tops",
    4: "act",
    5: "animal",
    6: "artifact",
    7: "attribute",
    8: "body",
    9: "cognition",
    10: "communication",
    11: "event",
    12: "feeling",
    13: "food",
    14: "group",
    15: "location",
    16: "motive",
    17: "object",
    18: "person",
    19: "phenomenon",
    20: "plant",
    21: "possession",
    22: "process",
    23: "quantity",
    24: "relation",
    25: "shape",
    26: "state",
    27: "substance",
    28: "time",
}
PHYSICAL = "n00001930"  # physical entity


@dataclass(frozen=True)
class Synset:
    """A sense: its lemmas as they are written, its definition without examples, its hypernyms' ids (of
    instances too), the lexicographer's file that it stands in ("animal", "artifact", ...), and whether it is
    one individual (Paris)."""

    id: str
    lemmas: tuple[str, ...]
    definition: str
    hypernyms: tuple[str, ...]
    field: str
    instance: bool


class WordNet:
    """synsets: id -> Synset, all 82,115. senses: lemma in lower case, with spaces -> its ids, most frequent
    sense first. counts: (lemma, id) -> how often it was met in the semantic concordance (SemCor)."""

    def __init__(self, folder: Path = FOLDER):
        self.folder = folder
        self.synsets: dict[str, Synset] = {}
        for line in (folder / "data.noun").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):  # the licence
                synset = _synset(line)
                self.synsets[synset.id] = synset
        self.senses: dict[str, list[str]] = {}
        for line in (folder / "index.noun").read_text(encoding="utf-8").splitlines():
            if not line.startswith("  "):
                fields = line.split()
                self.senses[fields[0].replace("_", " ")] = [
                    f"n{offset}" for offset in fields[-int(fields[2]) :]
                ]
        self.counts: Counter = Counter()
        for line in (
            (folder / "cntlist.rev").read_text(encoding="utf-8").splitlines()
        ):  # "dog%1:05:00:: 1 42": sense key, sense, count
            key, sense, count = line.split()
            lemma, _, rest = key.partition("%")
            ids = self.senses.get(lemma.replace("_", " "), ())
            if rest.startswith("1:") and int(sense) <= len(ids):
                self.counts[lemma.replace("_", " "), ids[int(sense) - 1]] += int(count)
        self.closure = lru_cache(maxsize=None)(self._closure)
        self.descendants: dict[str, list[str]] = {}
        for id in self.synsets:
            for above in self.closure(id):
                self.descendants.setdefault(above, []).append(id)

    def _closure(self, id: str) -> frozenset[str]:
        """The synset and everything above it."""
        return frozenset([id]).union(*(self.closure(above) for above in self.synsets[id].hypernyms))

    def path(self, id: str) -> Iterable[str]:
        """The synset's nearest hypernyms upwards, along the first one named at each step."""
        while above := self.synsets[id].hypernyms:
            id = above[0]
            yield id


def _synset(line: str) -> Synset:
    data, _, gloss = line.partition(" | ")
    fields = data.split()
    words = int(fields[3], 16)
    lemmas = tuple(re.sub(r"\(\w+\)$", "", word).replace("_", " ") for word in fields[4 : 4 + 2 * words : 2])
    pointers = fields[5 + 2 * words :]
    hypernyms = tuple(
        f"n{pointers[i + 1]}"
        for i in range(0, 4 * int(fields[4 + 2 * words]), 4)
        if pointers[i] in ("@", "@i") and pointers[i + 2] == "n"
    )
    definition = gloss.split('; "')[0].strip()
    return Synset(
        f"n{fields[0]}", lemmas, definition, hypernyms, LEXICOGRAPHER_FILES[int(fields[1])], "@i" in pointers
    )
