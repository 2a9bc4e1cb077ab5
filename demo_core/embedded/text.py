"""Train the embedded model's text tower, from text alone: the pictures' space stays, the words move.

    python -m demo_core.embedded.text --out assets/embedded --photographs imagenet-photos.zip
    python -m demo_core.embedded.text --out runs/held-out --photographs ... --hold-out 100 --seed 1

A teacher (demo_core/embedded/teacher.py) says where every noun should lie. The tower is the sum of what words
say, so that it is fitted to all lemmas, bare and in templates, by least squares (conjugate gradients): first
what all tokens say in the directions in which nouns differ most, then what the words of ImageNet's class
names say beside that. With --hold-out, classes drawn by the seed have no prototype in training: their names
are words like any other. The sentence features, which take longest, are kept in the folder --work.
"""

from __future__ import annotations

import argparse
import gzip
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from demo_core.embedded.photographs import read_archive
from demo_core.embedded.sentences import sentence_features
from demo_core.embedded.teacher import (
    EmbeddedPhotographs,
    PictureSide,
    picture_side,
    pooled_features,
    targets,
)
from demo_core.embedded.vocabulary import (
    TEMPLATES,
    Meaning,
    Vocabulary,
    held_out,
    imagenet_labels,
    pieces_of,
    tokens_to_keep,
)
from demo_core.embedded.wordnet import FOLDER, WordNet
from demo_core.texts import (
    CONTEXT_LENGTH,
    PAD,
    PLURAL,
    TEXT_FILE,
    VOCABULARY_FILE,
    TextTower,
    Tokenizer,
    words_of,
)

NAME = 30.0  # how much more than another lemma the name of a class counts
EVERYDAY = 700  # words that count more than others, and that are known like those of class names
EVERYDAY_WEIGHT = 200.0
SPELLED = 0.1  # of the lemmas are also read in pieces, so that unknown words mean something
PLURALS = 0.1  # of the lemmas are also met in the plural


@dataclass
class Lesson:
    """Texts with where they should lie. targets [N,640] unit; labels [N]: the class a text names, or -1;
    weights [N]: how much each counts."""

    texts: list[str]
    targets: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor


def lesson(vocabulary: Vocabulary, side: PictureSide, places: torch.Tensor, unknown: list[int]) -> Lesson:
    """places [N,640]: the teacher's targets of the vocabulary's synsets."""
    known = {id for label, id in enumerate(vocabulary.classes) if label not in unknown}
    label_of = {id: label for label, id in enumerate(vocabulary.classes) if id in known}
    wordnet = vocabulary.wordnet
    texts, rows, labels, weights = [], [], [], []

    def learn(text: str, place: torch.Tensor, label: int, weight: float) -> None:
        texts.append(text), rows.append(place), labels.append(label), weights.append(weight)

    def place_of(meaning: Meaning) -> torch.Tensor:
        found = places[[vocabulary.index[id] for id in meaning.synsets]]
        return F.normalize(torch.tensor(meaning.weights) @ found, dim=0)

    meanings = vocabulary.lemmas(known)
    everyday = vocabulary.everyday(meanings, EVERYDAY)
    taken = {" ".join(words_of(name)) for name in vocabulary.names}
    for label, name in enumerate(vocabulary.names):
        if label not in unknown:
            learn(name, side.prototypes[label], label, 4.0)
    for meaning in meanings:
        best = meaning.synsets[0]
        if " ".join(words_of(meaning.text)) in taken and best in known:
            continue  # the list of names says it better
        sure = meaning.weights[0] > 0.9 and best in label_of
        weight = 2.0 if best in known else 1 + math.log1p(wordnet.counts[meaning.text, best])
        weight = EVERYDAY_WEIGHT if meaning.text in everyday else weight
        learn(meaning.text, place_of(meaning), label_of[best] if sure else -1, weight)
    for id in vocabulary.synsets:  # what tells a word's senses apart: "crane (wading bird)", "crane bird"
        synset, above = wordnet.synsets[id], next(iter(vocabulary.wordnet.path(id)), None)
        if above:
            learn(
                f"{synset.lemmas[0]} {wordnet.synsets[above].lemmas[0]}",
                places[vocabulary.index[id]],
                -1,
                0.25,
            )
    return Lesson(texts, torch.stack(rows), torch.tensor(labels), torch.tensor(weights))


def make_tokenizer(
    vocabulary: Vocabulary, meanings: list[Meaning], args: argparse.Namespace
) -> tuple[Tokenizer, int]:
    """A tokenizer, and how many of its first ids have an embedding in all dimensions (see TextTower)."""
    synsets = vocabulary.wordnet.synsets
    first = [
        *vocabulary.names,
        *sorted(vocabulary.everyday(meanings, EVERYDAY)),
        *(lemma for id in vocabulary.classes for lemma in synsets[id].lemmas[:1]),
    ]
    ahead, others = tokens_to_keep(vocabulary, meanings, first, vocabulary.names, args.tokens - args.pieces)
    letters = dict.fromkeys(word for meaning in meanings for word in words_of(meaning.text))
    whole = ["<pad>", "<unknown>", "<plural>", *ahead, *others]
    ids = list(dict.fromkeys([*whole, *pieces_of(letters, args.pieces)]))
    irregular, kept = {}, set(whole)
    for line in (vocabulary.wordnet.folder / "noun.exc").read_text(encoding="utf-8").splitlines():
        plural, singular = line.split()[:2]
        if plural.isalpha() and singular in kept and plural not in kept:
            irregular[plural] = singular
    return Tokenizer(ids, irregular), 3 + len(ahead)


def save(folder: Path, tower: TextTower, tokenizer: Tokenizer) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: weight.half().contiguous() for name, weight in tower.state_dict().items()}, folder / TEXT_FILE
    )
    content = json.dumps(
        {"tokens": list(tokenizer.ids), "irregular": tokenizer.irregular}, separators=(",", ":")
    )
    (folder / VOCABULARY_FILE).write_bytes(gzip.compress(content.encode(), mtime=0))


@dataclass
class System:
    """Rows to fit. said [n,tokens], sparse: how often each token is met; rows [n]: which text of the lesson
    it is; weights [n]."""

    said: scipy.sparse.csr_matrix
    rows: np.ndarray
    weights: np.ndarray


def system(tokenizer: Tokenizer, lesson: Lesson, seed: int) -> System:
    """Every text bare and in a template; names of classes in all templates; some in the plural, some in
    pieces."""
    rng = random.Random(f"{seed}-system")
    frames = [
        tuple([i for word in words_of(part) for i in tokenizer.word(word)] for part in template.split("{}"))
        for template in TEMPLATES
    ]
    r, c, rows, weights = [], [], [], []

    def add(row: int, ids: list[int], weight: float) -> None:
        r.extend([len(rows)] * len(ids[:CONTEXT_LENGTH])), c.extend(ids[:CONTEXT_LENGTH])
        rows.append(row), weights.append(weight)

    for row, (text, weight, label) in enumerate(
        zip(lesson.texts, lesson.weights.tolist(), lesson.labels.tolist())
    ):
        ids = tokenizer.encode(text)
        add(row, ids, weight)
        if label >= 0:
            for before, after in frames:
                add(row, before + ids + after, weight / len(frames) * 4)
        else:
            for before, after in rng.sample(
                frames, 0 if weight < 1 else 1 if weight < EVERYDAY_WEIGHT else 10
            ):
                add(row, before + ids + after, weight / 2)
        if rng.random() < PLURALS:
            add(row, ids + [PLURAL], weight / 2)
        if rng.random() < SPELLED:
            add(row, [i for word in words_of(text) for i in tokenizer.pieces(word)], weight / 4)
    said = scipy.sparse.csr_matrix((np.ones(len(r), np.float32), (r, c)), (len(rows), len(tokenizer)))
    return System(said, np.array(rows), np.array(weights, np.float32))


def least_squares(
    said: scipy.sparse.csr_matrix, weights: np.ndarray, wanted: np.ndarray, ridge: float, steps: int
) -> np.ndarray:
    """E [tokens,D] that makes said @ E near wanted [n,D], rows weighted, by conjugate gradients on the normal
    equations with a diagonal preconditioner; all columns at a time, each with step sizes of its own."""
    weighted = scipy.sparse.csr_matrix(said.multiply(weights[:, None]), dtype=np.float32).T.tocsr()
    diagonal = (
        np.asarray(said.power(2).multiply(weights[:, None]).sum(0)).ravel().astype(np.float32)[:, None]
        + ridge
    )
    found = np.zeros((said.shape[1], wanted.shape[1]), np.float32)
    residual = weighted @ wanted
    direction = residual / diagonal
    closeness = (residual * direction).sum(0)
    for _ in range(steps):
        image = weighted @ (said @ direction) + ridge * direction
        size = closeness / np.maximum((direction * image).sum(0), 1e-20)
        found += size * direction
        residual -= size * image
        ahead = residual / diagonal
        closer = (residual * ahead).sum(0)
        direction = ahead + closer / np.maximum(closeness, 1e-20) * direction
        closeness = closer
    return found


def fit(tokenizer: Tokenizer, known: int, lesson: Lesson, args: argparse.Namespace) -> TextTower:
    """A tower fitted to the lesson; known: see TextTower."""
    tower, told = TextTower(len(tokenizer), known, args.rank), system(tokenizer, lesson, args.seed)
    named = (lesson.labels >= 0).numpy()
    weights = told.weights * np.where(named[told.rows], NAME, 1).astype(np.float32)
    moments = (lesson.targets * lesson.weights.unsqueeze(1)).T.double() @ lesson.targets.double()
    basis = torch.linalg.eigh(moments).eigenvectors[:, -args.rank :].float()
    narrow = least_squares(
        told.said, told.weights, (lesson.targets @ basis).numpy()[told.rows], args.ridge, args.cg
    )
    narrow[[PAD, PLURAL]] = 0  # a plural says what its singular says
    # Texts that have a word of a class name in them: what is still missing there.
    touched = np.asarray(told.said[:, :known].sum(1)).ravel() > 0
    said, rows = told.said[touched], told.rows[touched]
    missing = lesson.targets.numpy()[rows] - (said @ narrow) @ basis.T.numpy()
    wide = least_squares(
        scipy.sparse.csr_matrix(said[:, :known]), weights[touched], missing, args.ridge_wide, args.cg
    )
    wide[[PAD, PLURAL]] = 0
    with torch.no_grad():
        tower.embedding.weight.copy_(torch.from_numpy(narrow))
        tower.directions.weight.copy_(basis), tower.directions.bias.zero_()
        tower.wide.weight.copy_(torch.from_numpy(wide))
    return tower.eval()


@torch.no_grad()
def report(tower: TextTower, tokenizer: Tokenizer, lesson: Lesson) -> None:
    """How near the texts lie to their targets, by kind."""
    kinds = {
        "names of classes": ((lesson.labels >= 0) & (lesson.weights == 4.0)).nonzero().squeeze(1),
        "other lemmas": ((lesson.labels < 0) & (lesson.weights >= 1)).nonzero().squeeze(1)[::20],
    }
    for template in ("{}", "a photo of a {}."):
        for kind, rows in kinds.items():
            said = F.normalize(
                tower(tokenizer([template.format(lesson.texts[r]) for r in rows.tolist()])), dim=-1
            )
            near = (said * lesson.targets[rows]).sum(-1)
            print(
                f"{template!r}: {kind}: cosine {near.mean():.4f}, a tenth below {near.quantile(0.1):.3f}",
                flush=True,
            )


def read_photographs(path: Path, side: PictureSide) -> EmbeddedPhotographs:
    """From an archive of photographs with a folder a class, named by its synset's id."""
    found = read_archive(path)
    labels = imagenet_labels(found.classes)[found.labels]
    return EmbeddedPhotographs(side.embed(pooled_features(found)), labels)


def train(args: argparse.Namespace) -> None:
    start = time.time()
    vocabulary, side = Vocabulary(WordNet(args.wordnet)), picture_side()
    unknown = held_out(args.hold_out, args.seed) if args.hold_out else []
    sentences = sentence_features(vocabulary.descriptions, args.work, "descriptions")
    photographs = read_photographs(args.photographs, side) if args.photographs else None
    places = targets(vocabulary, side, sentences, unknown, photographs)
    taught = lesson(vocabulary, side, places, unknown)
    known = {id for label, id in enumerate(vocabulary.classes) if label not in unknown}
    tokenizer, wide = make_tokenizer(vocabulary, vocabulary.lemmas(known), args)
    print(
        f"{len(taught.texts)} texts, {len(tokenizer)} tokens, {wide} of them known;"
        f" {time.time() - start:.0f} s",
        flush=True,
    )
    tower = fit(tokenizer, wide, taught, args)
    save(args.out, tower, tokenizer)
    report(tower, tokenizer, taught)
    print(f"{sum(p.numel() for p in tower.parameters()) / 1e6:.2f} M weights; {time.time() - start:.0f} s")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="where the tower goes, e.g. assets/embedded")
    parser.add_argument(
        "--work", type=Path, default=Path("runs/embedded"), help="where sentence features are kept"
    )
    parser.add_argument(
        "--photographs",
        type=Path,
        help="a zip of training photographs: what tells kinds (dog, bird) apart is learned from them",
    )
    parser.add_argument(
        "--wordnet", type=Path, default=FOLDER, help="WordNet 3.0's files data.noun, index.noun, ..."
    )
    parser.add_argument("--hold-out", type=int, default=0, help="classes that are treated as unknown")
    parser.add_argument(
        "--tokens", type=int, default=36_000, help="words, compounds and pieces that are remembered"
    )
    parser.add_argument("--pieces", type=int, default=1_500, help="pieces among them")
    parser.add_argument("--rank", type=int, default=80, help="directions in which every token says something")
    parser.add_argument("--ridge", type=float, default=0.02)
    parser.add_argument("--ridge-wide", type=float, default=0.02)
    parser.add_argument("--cg", type=int, default=40, help="steps of conjugate gradients")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args(argv)


if __name__ == "__main__":
    arguments = parse()
    torch.set_num_threads(arguments.threads)
    train(arguments)
