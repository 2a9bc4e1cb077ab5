"""The words that the embedded model's text tower learns: WordNet's nouns, ImageNet's class names, templates.

Which sense of a word is meant is told by how often each was met in the semantic concordance, by WordNet's
order of them, and by whether it is a thing that a photograph can show.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import timm
import torch
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES
from timm.data import ImageNetInfo

from demo_core.embedded.wordnet import WordNet
from demo_core.texts import INSIDE, LONGEST_COMPOUND, singulars, words_of

TIMM_LISTS = Path(timm.__file__).parent / "data" / "_info"
# How likely a photograph is to show a sense, by the lexicographer's file that it stands in; others: 0.05.
SHOWN = {
    "animal": 1.0,
    "artifact": 1.0,
    "food": 0.9,
    "plant": 0.8,
    "object": 0.6,
    "body": 0.6,
    "phenomenon": 0.3,
    "person": 0.25,
    "substance": 0.25,
    "shape": 0.2,
    "group": 0.1,
    "location": 0.1,
}
RARELY_SHOWN = 0.05
CONCRETE = (
    "animal",
    "artifact",
    "food",
    "plant",
    "object",
    "body",
    "phenomenon",
    "person",
    "substance",
    "shape",
)
TEMPLATES = (
    "{}",
    "{}.",
    "a {}",
    "a {}.",
    "the {}",
    "a photo of a {}.",
    "a photo of {}.",
    "a photo of the {}.",
    "This is a photo of a {}.",
    "a picture of a {}.",
    "an image of a {}",
    "there is a {} in the picture.",
    "a {} in a photo",
    "A photo of a {}, a type of pet.",
    "A photo of a {}, a type of flower.",
    "a photo of a {}, a type of animal.",
    "A photo of {}, a type of food.",
    "a photo of an {}.",
    *(template("{}") for template in OPENAI_IMAGENET_TEMPLATES),
)


@cache
def imagenet_ids() -> tuple[str, ...]:
    """ImageNet-1k's 1,000 synset ids, in the order of the labels."""
    return tuple(ImageNetInfo().label_names())


def imagenet_labels(ids: Sequence[str]) -> torch.Tensor:
    """The labels [N] of these synsets among ImageNet-1k's. Raises ValueError where it lacks one."""
    return torch.tensor([imagenet_ids().index(id) for id in ids])


def held_out(number: int, seed: int) -> list[int]:
    """Labels of the classes that are treated as unknown."""
    return sorted(random.Random(f"{seed}-held-out").sample(range(1000), number))


@dataclass(frozen=True)
class Meaning:
    """A text with the synsets that it may mean, and their weights (sum 1)."""

    text: str
    synsets: tuple[str, ...]
    weights: tuple[float, ...]


class Vocabulary:
    """What there is to say.

    classes: ImageNet-1k's ids in the order of the labels; names: their names of open_clip's list; synsets:
    ids of all nouns learned, the classes among them: things, people and plants without those of one
    individual (a person, a city), whatever ImageNet-21k has, and words of frequent use.
    """

    def __init__(self, wordnet: WordNet):
        self.wordnet = wordnet
        self.classes, self.names = list(imagenet_ids()), list(IMAGENET_CLASSNAMES)
        listed = {
            line.split("\t")[0]
            for line in (TIMM_LISTS / "imagenet_synset_to_lemma.txt").open(encoding="utf-8")
        }
        met = {id for (_, id), count in wordnet.counts.items() if count}
        self.synsets = [
            id
            for id, synset in wordnet.synsets.items()
            if not synset.instance and (id in listed or id in met or synset.field in CONCRETE)
        ]
        self.index = {id: row for row, id in enumerate(self.synsets)}

    @cached_property
    def descriptions(self) -> list[str]:
        """A line on each synset: its names, what it is a kind of, its definition."""

        def line(id: str) -> str:
            synset = self.wordnet.synsets[id]
            above = [self.wordnet.synsets[h].lemmas[0] for h in list(self.wordnet.path(id))[:3]]
            kinds = f" ({', '.join(above)})" if above else ""
            return f"{', '.join(synset.lemmas[:3])}{kinds}: {synset.definition}"

        return [line(id) for id in self.synsets]

    def meaning(
        self, text: str, ids: Collection[str], known: Collection[str] = (), above: Collection[str] = ()
    ) -> Meaning:
        """What a lemma means, of its senses `ids`, most frequent first. known: classes whose pictures the
        picture side was trained on, and so likelier to be meant; above: what stands above them."""
        lemma, scores = text.lower(), {}
        for rank, id in enumerate(ids):
            shown = SHOWN.get(self.wordnet.synsets[id].field, RARELY_SHOWN)
            likelier = 3 if id in known else 2 if id in above else 1
            scores[id] = ((self.wordnet.counts[lemma, id] + 0.5) * shown * likelier * 0.7**rank) ** 1.5
        best = sorted(scores, key=scores.get, reverse=True)[:3]
        total = sum(scores[id] for id in best)
        return Meaning(text, tuple(best), tuple(scores[id] / total for id in best))

    def lemmas(self, known: Collection[str]) -> list[Meaning]:
        """Every lemma of the synsets, with its senses."""
        above = set().union(*(self.wordnet.closure(id) for id in known))
        senses = {lemma: [id for id in ids if id in self.index] for lemma, ids in self.wordnet.senses.items()}
        return [self.meaning(lemma, ids, known, above) for lemma, ids in senses.items() if ids]

    def everyday(self, meanings: list[Meaning], number: int) -> set[str]:
        """The single words among the lemmas that people say most of what a photograph can show."""

        def said(meaning: Meaning) -> float:
            id = meaning.synsets[0]
            kinds = sum(below in self.index for below in self.wordnet.descendants[id])
            shown = SHOWN.get(self.wordnet.synsets[id].field, RARELY_SHOWN)
            return shown * (self.wordnet.counts[meaning.text, id] + 0.2 * min(kinds, 50))

        words = [meaning for meaning in meanings if meaning.text.isalpha()]
        return {meaning.text for meaning in sorted(words, key=lambda m: (-said(m), m.text))[:number]}


def tokens_to_keep(
    vocabulary: Vocabulary, meanings: list[Meaning], first: list[str], compounds: list[str], limit: int
) -> tuple[list[str], list[str]]:
    """The words and compounds to remember whole: all words of the texts `first` and the compounds that the
    texts `compounds` are; then, up to `limit` in all, those of the other meanings that count most."""
    ahead = dict.fromkeys(word for text in first for word in words_of(text))
    ahead |= dict.fromkeys(
        " ".join(words) for text in compounds if 1 < len(words := words_of(text)) <= LONGEST_COMPOUND
    )
    counted: Counter = Counter()
    for meaning in meanings:
        synset, words = vocabulary.wordnet.synsets[meaning.synsets[0]], words_of(meaning.text)
        latin = synset.field in ("animal", "plant") and any(
            lemma.lower() == meaning.text and lemma[0].isupper() for lemma in synset.lemmas
        )
        met = vocabulary.wordnet.counts[meaning.text, synset.id]
        value = (0.1 if latin else 1.0) * SHOWN.get(synset.field, RARELY_SHOWN) + 0.2 * (met > 0)
        for word in words:
            counted[word] += value * (2 if len(words) == 1 else 0.7)
        if 1 < len(words) <= LONGEST_COMPOUND:
            counted[" ".join(words)] += value
    lemmas = {meaning.text for meaning in meanings}
    for word in [*counted]:  # a plural of definitions and compounds is read as its singular with an ending
        if word not in lemmas and any(singular in lemmas for singular in singulars(word)):
            del counted[word]
    others = sorted(
        (token for token in counted if token not in ahead), key=lambda token: (-counted[token], token)
    )
    return list(ahead), others[: limit - len(ahead)]


def pieces_of(words: Collection[str], number: int, longest: int = 8) -> list[str]:
    """The commonest pieces of words, all single letters and digits among them, marked where they begin no
    word. A long piece counts more than a short one, or words would be read letter by letter."""
    counted: Counter = Counter()
    for word in words:
        for start in range(len(word)):
            for end in range(start + 2, min(len(word), start + longest) + 1):
                if end - start < len(word):
                    counted[(INSIDE if start else "") + word[start:end]] += end - start
    letters = [mark + letter for mark in ("", INSIDE) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    common = sorted(counted, key=lambda piece: (-counted[piece], piece))
    return letters + common[: number - len(letters)]
