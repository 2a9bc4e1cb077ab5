"""The embedded model's text tower: words -> where pictures of them lie, and the tokenizer before it.

A text is read as words and compounds. The tower remembers tens of thousands of them; other words are read in
pieces. Case, punctuation and accents do not matter, and a plural is its singular with an ending.
"""

from __future__ import annotations

import gzip
import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

TEXT_FILE, VOCABULARY_FILE = "text.safetensors", "vocabulary.json.gz"
PAD, UNKNOWN, PLURAL = 0, 1, 2  # the first ids of every vocabulary
CONTEXT_LENGTH = 40  # tokens; what is longer is cut off
INSIDE = "#"  # begins a piece that does not begin a word
LONGEST_COMPOUND = 4  # words
DIMENSION = 640  # D of the picture embedding


def words_of(text: str) -> list[str]:
    """Lower-case words of ASCII letters and digits: "Colt's-foot, Crème" -> ["colts", "foot", "creme"]."""
    plain = text.lower().replace("ß", "ss").replace("ø", "o").replace("æ", "ae")
    plain = unicodedata.normalize("NFKD", plain)
    plain = re.sub(r"['’`\u0300-\u036f]", "", plain)
    return re.findall(r"[a-z0-9]+", plain)


def singulars(word: str) -> Iterator[str]:
    """What an English plural may be the plural of, likelier first."""
    endings: tuple[tuple[str, str], ...] = (
        ("ies", "y"),
        ("ves", "f"),
        ("ves", "fe"),
        ("men", "man"),
        ("es", ""),
        ("s", ""),
    )
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes")):
        endings = (("es", ""), ("s", ""))
    elif not word.endswith(("ss", "us", "is")):
        endings = (endings[0], ("s", ""), *endings[1:])
    else:
        return
    for plural, singular in endings:
        if word.endswith(plural) and len(word) > len(plural) + 1:
            yield word[: -len(plural)] + singular


class Tokenizer:
    """Called like open_clip's: texts -> tokens [K, context_length] int64, zeros behind the text's end.

    tokens: the vocabulary in the order of the ids, of whole words, of compounds ("grand piano": after its
    words a compound has a token of its own), and of pieces (see INSIDE); ids 0 to 2 are for the padding, for
    a text without any word, and for the ending of a plural. irregular: plural -> singular.
    """

    def __init__(
        self, tokens: Sequence[str], irregular: dict[str, str], context_length: int = CONTEXT_LENGTH
    ):
        self.ids = {token: i for i, token in enumerate(tokens)}
        self.irregular, self.context_length = irregular, context_length
        self.longest = 16  # letters of a piece, at most

    def __len__(self) -> int:
        return len(self.ids)

    def pieces(self, word: str) -> list[int]:
        """A word read in pieces, the longest known one first each time."""
        found, start = [], 0
        while start < len(word):
            mark = INSIDE if start else ""
            for end in range(min(len(word), start + self.longest), start, -1):
                piece = self.ids.get(mark + word[start:end])
                if piece is not None and (end - start < len(word)):
                    found.append(piece)
                    break
            else:
                end = start + 1
            start = end
        return found or [UNKNOWN]

    def singular(self, word: str) -> str:
        """The known word that this one is the plural of; itself if there is none, or if it is known."""
        if word in self.ids:
            return word
        likely = (self.irregular.get(word, ""), *singulars(word))
        return next((found for found in likely if found in self.ids), word)

    def word(self, word: str) -> list[int]:
        if word in self.ids:
            return [self.ids[word]]
        singular = self.singular(word)
        return [self.ids[singular], PLURAL] if singular in self.ids else self.pieces(word)

    def encode(self, text: str) -> list[int]:
        """Ids of a text, at least one and at most context_length."""
        words, found, start = words_of(text), [], 0
        plain = [self.singular(word) for word in words]
        while start < len(words):
            for end in range(min(len(words), start + LONGEST_COMPOUND), start, -1):
                compound = self.ids.get(" ".join(plain[start:end])) if end > start + 1 else None
                if compound is not None or end == start + 1:
                    break
            for word in words[start:end]:
                found += self.word(word)
            found += [compound] if compound is not None else []
            start = end
        return found[: self.context_length] or [UNKNOWN]

    def __call__(self, texts: str | Sequence[str]) -> torch.Tensor:
        rows = [self.encode(text) for text in ([texts] if isinstance(texts, str) else texts)]
        tokens = torch.zeros(len(rows), self.context_length, dtype=torch.long)
        for row, ids in zip(tokens, rows):
            row[: len(ids)] = torch.tensor(ids)
        return tokens


class TextTower(nn.Module):
    """Tokens [K,T] -> features [K,640], not of unit length: the sum of what the tokens say.

    A token says something in the directions in which nouns differ most (narrow embedding, rank of them). The
    first `known` ids, of the words and compounds of ImageNet's class names, also have an embedding in all 640
    dimensions: where these names lie is known exactly, and a thousand places have no common plane.
    """

    def __init__(self, words: int, known: int, rank: int):
        super().__init__()
        self.known = known
        self.embedding = nn.Embedding(words, rank, padding_idx=PAD)
        self.directions = nn.Linear(rank, DIMENSION)
        self.wide = nn.Embedding(known, DIMENSION, padding_idx=PAD)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        narrow = self.embedding(tokens).sum(1)  # the padding's rows are zeros
        return self.directions(narrow) + self.wide(tokens * (tokens < self.known)).sum(1)


def load_tokenizer(folder: Path) -> Tokenizer:
    with gzip.open(folder / VOCABULARY_FILE, "rt", encoding="utf-8") as file:
        vocabulary = json.load(file)
    return Tokenizer(vocabulary["tokens"], vocabulary["irregular"])


def load_texts(folder: Path) -> tuple[TextTower, Tokenizer]:
    """The tower in eval mode, at float32, and its tokenizer. Raises FileNotFoundError where a file is
    missing."""
    weights = {name: weight.float() for name, weight in load_file(folder / TEXT_FILE).items()}
    with torch.device("meta"):
        (words, rank), known = weights["embedding.weight"].shape, len(weights["wide.weight"])
        tower = TextTower(words, known, rank)
    tower.load_state_dict(weights, assign=True)
    return tower.eval().requires_grad_(False), load_tokenizer(folder)
