"""The field's words that the page uses, each with a note in plain ones. One row adds a word."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Term:
    """written: as the word stands in texts, its other forms included; note: what it means."""

    written: tuple[str, ...]
    note: str


TERMS: dict[str, Term] = {
    "embedding": Term(
        ("embedding", "embeddings"),
        "CLIP’s own description of a picture or a text: a list of some hundred numbers. A picture and a label"
        " that belong together have lists that point the same way.",
    ),
    "logits": Term(
        ("logits", "logit"),
        "A score for each label: how well it agrees with the picture. From the scores come the percentages.",
    ),
    "cosine": Term(
        ("cosine",),
        "How far two lists of numbers point the same way: 1 if they do, 0 if they have nothing in common.",
    ),
    "eps": Term(
        ("eps",),
        "The most by which any pixel may change, in steps of 1/255 from black to white. At 4/255 it is hard"
        " to see.",
    ),
    "perturbation": Term(
        ("perturbation", "perturbations"),
        "What is added to a picture’s pixels: by an attacker to mislead, by a counterattack to undo that.",
    ),
    "pgd": Term(
        ("PGD",),
        "Projected gradient descent, the standard attack: in each step every pixel moves a little where that"
        " makes the right answer less likely, and never by more than eps in all.",
    ),
    "drift": Term(
        ("drift", "drifts", "view drift"),
        "How far the embedding moves when the picture changes a little, in parts of the embedding’s length.",
    ),
    "tau": Term(
        ("tau",),
        "The paper’s signal: how far a little random noise on the picture moves its embedding. A low one is"
        " suspicious: attacked pictures of large CLIPs hold too still.",
    ),
    "tau hat": Term(
        ("tau hat",),
        "The signal of DOC: how far a little noise turns the embedding, as one minus the cosine. A low one is"
        " suspicious.",
    ),
    "corruption degree": Term(
        ("corruption degree",),
        "The signal of MAC: how far a view, turned, shifted and coloured at random, moves the embedding. A"
        " high one is suspicious.",
    ),
    "false stability": Term(
        ("false stability", "false-stability", "falsely stable"),
        "What the paper found: in large CLIPs a little noise moves an attacked picture’s embedding less than"
        " a clean one’s.",
    ),
    "gate": Term(
        ("gate", "gates"),
        "The test before a counterattack: a signal is measured, and on one side of the threshold the picture"
        " is suspicious.",
    ),
    "threshold": Term(
        ("threshold", "thresholds"),
        "The value of a signal at which a gate changes its mind. It was set with clean photographs.",
    ),
    "adaptive": Term(
        ("adaptive", "knows the defence", "knows each defence", "knows this one"),
        "An attacker who has the defence’s code, and attacks the model and its defence together.",
    ),
    "bpda": Term(
        ("BPDA",),
        "A way through a defence that gives no useful gradient: the attacker runs it forward, and takes a"
        " simpler step in its place on the way back.",
    ),
    "eot": Term(
        ("EOT",),
        "A way through a defence that draws at random: the attacker averages each step over several draws.",
    ),
    "black box": Term(
        ("black box", "black-box"),
        "An attacker who sees the model’s answers alone, and none of its gradients.",
    ),
    "masked gradients": Term(
        ("masked gradients", "gradient masking"),
        "A defence that hides the direction of attack instead of resisting it. It looks strong until somebody"
        " attacks it in another way.",
    ),
    "passes": Term(
        ("passes through the image tower",),
        "How often the network is run on a picture: forward, to get its embedding, or backward, to learn how"
        " each pixel changes that. It is what an attack or a defence costs.",
    ),
    "jpeg": Term(
        ("JPEG-75",),
        "The picture stored as JPEG of quality 75 of 100, as web sites and messengers do. That loses the"
        " finest detail, and an attack’s with it.",
    ),
    "robust accuracy": Term(
        ("robust accuracy",), "Of how many attacked pictures in a hundred the answer is still right."
    ),
    "auc": Term(
        ("AUC",),
        "How often a signal puts an attacked picture before a clean one: 1 is always, 0.5 is chance.",
    ),
}
_KEYS = {written.lower(): key for key, term in TERMS.items() for written in term.written}
# The same in Python and in the page's script. Not within a word, and not at the start of a quoted label.
PATTERN = r"(?<![“\w-])(?:" + "|".join(sorted(_KEYS, key=len, reverse=True)) + r")(?![\w-])"
_PATTERN = re.compile(PATTERN, re.IGNORECASE)


def found_in(text: str, known: set[str] | None = None) -> list[tuple[str, str | None]]:
    """The text in pieces, each with the key of the term that it is, if it is one; together they are the text.
    Only the first of a term counts, and none in `known`, which grows by those found."""
    known, pieces, last = set() if known is None else known, [], 0
    for match in _PATTERN.finditer(text):
        key = _KEYS[match[0].lower()]
        if key in known:
            continue
        known.add(key)
        pieces += [(text[last : match.start()], None), (match[0], key)]
        last = match.end()
    return [(piece, key) for piece, key in [*pieces, (text[last:], None)] if piece]


def for_script() -> dict[str, Any]:
    """What the page's script has to know of it."""
    return {"pattern": PATTERN, "keys": _KEYS, "notes": {key: term.note for key, term in TERMS.items()}}
