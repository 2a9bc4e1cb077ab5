"""The embedded model's text tower as it is shipped: how it reads, and where words lie."""

import time
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

from demo_core.texts import (
    CONTEXT_LENGTH,
    DIMENSION,
    PLURAL,
    TEXT_FILE,
    VOCABULARY_FILE,
    load_texts,
    singulars,
    words_of,
)

FOLDER = Path(__file__).parent.parent / "assets" / "embedded"


@pytest.fixture(scope="module")
def texts():
    return load_texts(FOLDER)


def say(texts, *names: str) -> torch.Tensor:
    tower, tokenizer = texts
    with torch.no_grad():
        return F.normalize(tower(tokenizer(list(names))), dim=-1)


def test_files_are_small_and_load_fast():
    assert all((FOLDER / name).stat().st_size <= 10_000_000 for name in (TEXT_FILE, VOCABULARY_FILE))
    start = time.perf_counter()
    load_texts(FOLDER)
    assert time.perf_counter() - start < 5  # a second on two idle cores


def test_tokens_and_features_have_the_shapes_of_open_clip(texts):
    tower, tokenizer = texts
    tokens = tokenizer(["a cat", "a grand piano"])
    assert tokens.shape == (2, CONTEXT_LENGTH) and tokens.dtype == torch.long
    assert tower(tokens).shape == (2, DIMENSION)
    assert torch.equal(tokenizer("a cat"), tokens[:1])


def test_a_text_does_not_depend_on_its_batch(texts):
    alone = say(texts, "golden retriever")
    among = say(texts, "a photo of a very large red bus that stands before a church.", "golden retriever", "")
    assert torch.allclose(alone[0], among[1], atol=1e-6)


def test_case_punctuation_and_accents_do_not_matter(texts):
    _, tokenizer = texts
    tokens = tokenizer(["golden retriever", "Golden  Retriever!", "GOLDEN_RETRIEVER", "gólden-retriever"])
    assert (tokens == tokens[0]).all()
    assert words_of("Colt's-foot, Crème") == ["colts", "foot", "creme"]


def test_templates_hardly_matter(texts):
    for name in ("dog", "tench", "school bus", "acoustic guitar"):
        said = say(texts, name, f"a photo of a {name}.", f"This is a photo of a {name}.", f"the {name}")
        assert (said @ said[0]).min() > 0.95, name


@pytest.mark.parametrize(
    "one, many", [("butterfly", "butterflies"), ("mouse", "mice"), ("church", "churches"), ("dog", "dogs")]
)
def test_plurals_are_near_their_singulars(texts, one, many):
    said = say(texts, one, many)
    assert said[0] @ said[1] > 0.9


def test_a_plural_is_its_singular_with_an_ending(texts):
    assert PLURAL in texts[1]("butterflies")
    assert "bus" in singulars("buses") and not list(singulars("glass"))


def test_unknown_words_and_no_words_are_finite(texts):
    said = say(texts, "", " ", "...", "qwxzkv", "日本", "x" * 500, "flurbish gadget", "word " * 200)
    assert said.isfinite().all()
    assert not torch.allclose(said[3], say(texts, "flurb")[0])


@pytest.mark.parametrize(
    "word, near, far",
    [
        ("kitten", "cat", "truck"),
        ("puppy", "dog", "airplane"),
        ("automobile", "car", "bird"),
        ("ship", "boat", "dog"),
        ("motorbike", "motorcycle", "flower"),
        ("guitar", "violin", "horse"),
        ("airplane", "aeroplane", "frog"),
    ],
)
def test_words_of_like_meaning_are_near(texts, word, near, far):
    said = say(texts, word, near, far)
    assert said[0] @ said[1] > said[0] @ said[2] + 0.1


def test_every_class_name_is_told_from_all_others(texts):
    """The names lie as far apart as ImageNet's classes do: hardly any two are nearer than a kitten is to a
    cat."""
    said = say(texts, *(f"a photo of a {name}." for name in IMAGENET_CLASSNAMES))
    alike = (said @ said.T).fill_diagonal_(-1).amax(1)
    assert (alike > 0.9).float().mean() < 0.02


def test_a_thousand_names_take_less_than_three_seconds(texts):
    start = time.perf_counter()
    say(texts, *IMAGENET_CLASSNAMES)
    assert time.perf_counter() - start < 3
