import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator, Iterator

import pytest
import torch
from PIL import Image

from demo_core.clip import ZeroShotCLIP
from demo_core.defenses import DEFENSES, Defense
from demo_core.labels import DEFAULT_TEMPLATE, PRESETS
from demo_core.models import CACHE_VARIABLE, load, load_embedded

os.environ[CACHE_VARIABLE] = tempfile.mkdtemp(prefix="clip-cache-")  # not that of whoever tests
SIDE = 64  # pixels a side of the small variant


def small(key: str) -> ZeroShotCLIP:
    """A model in the box at 64 pixels: the same weights, twelve times as fast, and much worse at
    recognising."""
    return load_embedded(key, SIDE)


@pytest.fixture(scope="session")
def clip() -> ZeroShotCLIP:
    """The model in the box, small: for what does not depend on how well it recognises."""
    return small("photo")


@pytest.fixture(scope="session")
def twin() -> ZeroShotCLIP:
    """The adversarially fine-tuned model in the box, small."""
    return small("photo-fare")


@pytest.fixture(scope="session")
def photo_clip() -> ZeroShotCLIP:
    """The model in the box as it is, at 224 pixels."""
    return load("photo", device="cpu")


@pytest.fixture(scope="session")
def photographs() -> torch.Tensor:
    """Four of the packages' photographs as the small model's pixels [4,3,64,64]."""
    from demo_core.examples import EXAMPLES
    from demo_core.pictures import open_picture, to_photo, to_pixels

    return torch.cat([to_pixels(to_photo(open_picture(e.path)), SIDE) for e in EXAMPLES[:4]])


@pytest.fixture
def save(tmp_path):
    """Write a picture to disk and return its path."""

    def write(picture: Image.Image, name: str = "picture.png", **options) -> str:
        picture.save(tmp_path / name, **options)
        return str(tmp_path / name)

    return write


@pytest.fixture(scope="module")
def classify(clip):
    """The small model over the everyday labels."""
    return clip.classifier(PRESETS["Everyday"], DEFAULT_TEMPLATE)


def dice(n: int, seed: int = 0, first: int = 0) -> list[torch.Generator]:
    """A generator for each of n pictures; first: the number of the first of them."""
    return [torch.Generator().manual_seed(1000 * seed + first + i) for i in range(n)]


def only_rows(monkeypatch, *keys: str) -> dict[str, Defense]:
    """Only these rows of DEFENSES race in the arena meanwhile."""
    rows = {key: DEFENSES[key] for key in keys}
    for module in ("story.play", "story.race", "story.flips", "story.price", "ui.render"):
        monkeypatch.setattr(f"demo_core.{module}.DEFENSES", rows)
    return rows


def one_by_one(items: AsyncGenerator) -> Iterator:
    """What an asynchronous generator yields, for a test that is not; closing this closes it."""
    loop = asyncio.new_event_loop()
    try:
        while True:
            yield loop.run_until_complete(anext(items))
    except StopAsyncIteration:
        pass
    finally:
        loop.run_until_complete(items.aclose())
        loop.close()
