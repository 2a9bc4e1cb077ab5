"""Where in the pictures' space every noun of WordNet should lie, in closed form.

ImageNet's 1,000 classes lie at their prototypes: the picture network's own classifier rows. What stands above
classes (dog, bird, vehicle) lies amidst them. All others are guessed by Gaussian process regression from the
classes, over a kernel that mixes how near two descriptions are (MiniLM) with how much of WordNet's tree two
nouns share.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import scipy.sparse
import torch
import torch.nn.functional as F

from demo_core.embedded.photographs import Photographs
from demo_core.embedded.vocabulary import Vocabulary
from demo_core.photo import MEAN, STD, fused, head_rows, locked_weights, projection_of, prototypes, trunk
from demo_core.texts import DIMENSION

SCALE = 60.0  # of the logits


@dataclass(frozen=True)
class PictureSide:
    """The locked picture side. projection [1280,640]: pooled features of EfficientNet-Lite0 -> picture
    embedding; prototypes [1000,640]: ImageNet's classes, unit."""

    projection: torch.Tensor
    prototypes: torch.Tensor

    def embed(self, features: torch.Tensor) -> torch.Tensor:
        """Unit embeddings [N,640] of pooled features [N,1280]."""
        return F.normalize(features @ self.projection, dim=-1)


def picture_side() -> PictureSide:
    """The locked tower's (see demo_core.photo)."""
    projection = projection_of(head_rows(), DIMENSION)
    return PictureSide(projection, prototypes(projection))


@torch.no_grad()
def pooled_features(photographs: Photographs) -> torch.Tensor:
    """What the locked tower sees in photographs of 224 px, before the projection [N,1280]."""
    net = fused(trunk(locked_weights()))
    return torch.cat([net((pixels - MEAN[0]) / STD[0]) for pixels, _ in photographs.batches(32)])


@dataclass(frozen=True)
class Kernel:
    """How alike two nouns are: tree_share of the tree's part, the rest of the descriptions'; each is
    exp((cosine - 1) / its width)."""

    tree_share: float = 0.3
    tree_width: float = 0.3
    text_width: float = 0.25
    noise: float = 0.1

    def __call__(self, texts: tuple[torch.Tensor, torch.Tensor], trees: tuple) -> torch.Tensor:
        """[N,M] of unit sentence features ([N,384], [M,384]) and unit rows of the tree (sparse, N and M of
        them)."""
        of_texts = torch.exp((texts[0] @ texts[1].T - 1) / self.text_width)
        of_trees = torch.exp((torch.from_numpy((trees[0] @ trees[1].T).toarray()) - 1) / self.tree_width)
        return (1 - self.tree_share) * of_texts + self.tree_share * of_trees


def tree_rows(vocabulary: Vocabulary) -> scipy.sparse.csr_matrix:
    """Unit rows [N, synsets of WordNet]: everything above each noun and itself, the rarer the more."""
    wordnet = vocabulary.wordnet
    columns = {id: i for i, id in enumerate(wordnet.synsets)}
    rarity = {
        id: 1 - math.log(len(below)) / math.log(len(columns)) for id, below in wordnet.descendants.items()
    }
    rows = [
        (row, columns[above], rarity[above])
        for row, id in enumerate(vocabulary.synsets)
        for above in wordnet.closure(id)
    ]
    r, c, values = zip(*rows)
    matrix = scipy.sparse.csr_matrix(
        (np.array(values, np.float32), (r, c)), (len(vocabulary.synsets), len(columns))
    )
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(1))).clip(1e-6)
    return scipy.sparse.csr_matrix(matrix.multiply(1 / norms), dtype=np.float32)


@dataclass(frozen=True)
class EmbeddedPhotographs:
    """Training photographs of ImageNet's classes: unit embeddings [N,640] and labels [N]."""

    embedded: torch.Tensor
    labels: torch.Tensor

    def without(self, held_out: Collection[int]) -> EmbeddedPhotographs:
        kept = ~torch.isin(self.labels, torch.tensor(sorted(held_out), dtype=torch.long))
        return EmbeddedPhotographs(self.embedded[kept], self.labels[kept])


def as_a_kind(
    side: PictureSide, photographs: EmbeddedPhotographs, ridge: float = 10.0, shrink: float = 1.0
) -> torch.Tensor:
    """A map [640,640] from the mean of prototypes to what best tells pictures of this kind from others.

    Prototypes are a classifier's rows: they tell a breed of dog from another, and their mean says little of
    dogs. So the mean is taken where the pictures lie (a linear regression from prototypes to embeddings), and
    made a linear discriminant by the pictures' covariance. Both values were chosen by kinds of which half the
    classes were left out, told from each other and from prototypes of single classes.
    """
    centred = photographs.embedded - photographs.embedded.mean(0)
    prototypes, eye = side.prototypes[photographs.labels], torch.eye(DIMENSION)
    to_pictures = torch.linalg.solve(prototypes.T @ prototypes + ridge * eye, prototypes.T @ centred)
    covariance = centred.T @ centred / len(centred)
    return torch.linalg.solve(covariance + shrink * covariance.diagonal().mean() * eye, to_pictures.T).T


def amidst(vocabulary: Vocabulary, known: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A place [640] for everything that stands above known nouns: the mean over its branches, each counted by
    the root of how many known nouns it has, so that 118 kinds of dog do not make "animal" a dog."""
    wordnet = vocabulary.wordnet
    above = set().union(*(wordnet.closure(id) for id in known))
    below: dict[str, set[str]] = {}
    for id in above:
        for parent in wordnet.synsets[id].hypernyms:
            below.setdefault(parent, set()).add(id)
    counts = {id: sum(d in known for d in wordnet.descendants[id]) for id in above}
    places: dict[str, torch.Tensor] = {}

    def place(id: str) -> torch.Tensor:
        if id not in places:
            parts = [(1.0, known[id])] if id in known else []
            parts += [(math.sqrt(counts[b]), place(b)) for b in sorted(below.get(id, ()))]
            places[id] = F.normalize(sum(w * p for w, p in parts), dim=-1)
        return places[id]

    return {id: place(id) for id in sorted(above - set(known))}


def targets(
    vocabulary: Vocabulary,
    side: PictureSide,
    sentences: torch.Tensor,
    held_out: Collection[int] = (),
    photographs: EmbeddedPhotographs | None = None,
    kernel: Kernel = Kernel(),
) -> torch.Tensor:
    """Unit targets [N,640] of all the vocabulary's synsets, from their sentence features [N,384]. The classes
    of held_out (labels) are treated as any other noun: neither their prototypes nor their photographs are
    looked at."""
    labels = [label for label in range(len(vocabulary.classes)) if label not in set(held_out)]
    rows = torch.tensor([vocabulary.index[vocabulary.classes[label]] for label in labels])
    sentences, trees, prototypes = (
        F.normalize(sentences.float(), dim=-1),
        tree_rows(vocabulary),
        side.prototypes[labels],
    )
    among = kernel((sentences[rows], sentences[rows]), (trees[rows.numpy()], trees[rows.numpy()]))
    coefficients = torch.linalg.solve(among + kernel.noise * torch.eye(len(rows)), prototypes)
    found = torch.cat(
        [
            kernel((sentences[part], sentences[rows]), (trees[part.numpy()], trees[rows.numpy()]))
            @ coefficients
            for part in torch.arange(len(vocabulary.synsets)).split(4096)
        ]
    )
    found = F.normalize(found, dim=-1)
    kind = as_a_kind(side, photographs.without(held_out)) if photographs else torch.eye(DIMENSION)
    for id, place in amidst(vocabulary, {vocabulary.classes[k]: side.prototypes[k] for k in labels}).items():
        if id in vocabulary.index:
            found[vocabulary.index[id]] = F.normalize(place @ kind, dim=-1)
    found[rows] = prototypes
    return found
