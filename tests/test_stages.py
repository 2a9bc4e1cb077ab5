"""How far a model is on its way, as whoever waits for it reads it."""

import asyncio
import re

import huggingface_hub
import pytest

from demo_core import stages
from demo_core.models import MODELS, ModelUnavailable, load
from demo_core.shelf import Shelf
from demo_core.stages import BUILDING, LOADING, Stage
from demo_core.story.page_words import loading
from demo_core.ui import choices, visits
from demo_core.weights import HUB_FILES, WEIGHTS_VARIABLE
from tests.hub import hub_here, random_model, shrink, write

KEY = "vit-b-32"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that has small weights, and a shelf of its own for the page, which asks often."""
    shrink(monkeypatch)
    monkeypatch.delenv(WEIGHTS_VARIABLE, raising=False)
    shelf = Shelf(lambda key: load(key, "cpu"), lambda key: 0.1, lambda: 9.0)
    monkeypatch.setattr(visits, "model", shelf)
    monkeypatch.setattr(visits, "TOLD_EVERY", 0.03)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1_000_000)
    with hub_here(monkeypatch, tmp_path / "cache") as found:
        write(random_model(MODELS[KEY]), tmp_path / HUB_FILES[0])
        found.files[f"{MODELS[KEY].repository}/{HUB_FILES[0]}"] = (tmp_path / HUB_FILES[0]).read_bytes()
        yield found


async def words_until_here(*keys: str) -> list[list[str]]:
    async def one(key: str) -> list[str]:
        return [words async for words in visits.arriving(key)]

    return await asyncio.gather(*map(one, keys))


def test_who_waits_reads_how_much_came_how_fast_and_others_go_on(hub):
    hub.pause = 0.15
    running = visits.model("photo")

    async def visitors() -> list[str]:
        waiting = asyncio.create_task(words_until_here(KEY, KEY))
        await asyncio.sleep(0.1)
        assert visits.model("photo") is running and visits.model.keys() == ("photo",)
        (first, second) = await waiting
        assert second[-1] == first[-1]
        return first

    told = asyncio.run(visitors())
    title, megabytes = re.escape(MODELS[KEY].title), len(next(iter(hub.files.values()))) / 1e6
    parts = [re.fullmatch(rf"Loading {title}: (\d+) of (\d+) MB, \d+ MB/s", words) for words in told]
    found = [int(part[1]) for part in parts if part]
    assert (
        len(set(found)) > 2
        and found == sorted(found)
        and {int(p[2]) for p in parts if p} == {round(megabytes)}
    )
    assert len(hub.asked) == 1 and visits.model.keys() == ("photo", KEY)
    assert asyncio.run(words_until_here(KEY)) == [[]]  # it is here


def test_half_a_download_is_tried_again_and_then_said_in_one_sentence(hub):
    hub.breaks = 1
    asyncio.run(words_until_here(KEY))
    assert visits.model.keys() == (KEY,)
    hub.files.clear()
    with pytest.raises(ModelUnavailable, match="could not be downloaded.*embedded model works without.$"):
        asyncio.run(words_until_here("rn50"))


def test_a_choice_shows_its_stages_and_a_later_one_is_not_undone(hub, monkeypatch):
    heard: list[str] = []
    monkeypatch.setattr(visits.gr, "Warning", lambda message, **_: heard.append(message))

    async def chosen(key: str, wanted: bool) -> list[dict]:
        return [new async for new in choices.model_arrives(key, "", lambda: wanted)]

    *waiting, last = asyncio.run(chosen(KEY, True))
    assert waiting and all("ing OpenAI CLIP" in new["stage"]["work"] for new in waiting)
    assert last["model"]["value"] == KEY and last["stage"] == visits.IDLE["stage"]
    assert not any("model" in new for new in asyncio.run(chosen(KEY, False)))
    assert asyncio.run(chosen("rn50", True))[-1]["model"]["value"] == "photo" and len(heard) == 1


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (None, "Loading X …"),
        (Stage(LOADING), "Loading X …"),
        (Stage(LOADING, 210_400_000, 605_000_000, 12e6), "Loading X: 210 of 605 MB, 12 MB/s"),
        (Stage(LOADING, 210_400_000, None, 12e6), "Loading X: 210 MB, 12 MB/s"),
        (Stage(BUILDING), "Building X …"),
    ],
)
def test_a_stage_in_words(stage, words):
    assert loading("X", stage) == words


def test_where_nobody_waits_the_hub_shows_its_own_bar():
    assert stages.bar() is None
