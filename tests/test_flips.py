"""The smallest eps that turns a picture: it does, and what is said to stand does stand."""

from dataclasses import replace

import pytest
import torch

from demo_core import story
from demo_core.examples import EXAMPLES
from demo_core.labels import PRESETS
from demo_core.models import profile_of
from demo_core.pictures import open_picture, to_photo
from demo_core.story import arena_words
from demo_core.story.flips import GRID, Flip, flips
from demo_core.story.play import answered
from tests.conftest import only_rows


@pytest.fixture(scope="module")
def run(clip):
    settings = story.Settings(tuple(PRESETS["Everyday"]), "a photo of a {}.", steps=4, adaptive=True)
    photo = to_photo(open_picture(EXAMPLES[1].path))
    return story.begin(clip, photo, settings, profile_of("photo"))


def test_each_row_turns_where_it_is_said_to(clip, run, monkeypatch):
    rows = only_rows(monkeypatch, "none", "tte", "default")
    steps = list(flips(clip, run))
    found = steps[-1]
    assert [flip.key for flip in found] == list(rows) and len(steps) > 50  # many places to stop at
    assert torch.is_grad_enabled()
    for flip in found:
        for eps, right in ((flip.stands, True), (flip.falls, False)):
            if eps is None:
                continue
            step_size = max(min(eps, 1), eps / 4) / 255
            sized = replace(
                run, settings=replace(run.settings, eps=eps / 255, step_size=step_size, adaptive=False)
            )
            *_, attacked = story.attack(clip, sized)
            says = answered(clip, run, rows[flip.key], run.pixels + attacked.attack_delta)[0].logits
            assert (int(says.argmax()) == run.right) is right
            assert flip.tried[eps] == pytest.approx(says.softmax(-1)[0, run.right].item(), abs=1e-4)
        if flip.stands and flip.falls:
            assert flip.falls / flip.stands == pytest.approx(2**0.5)  # half an octave lies between
        assert list(flip.tried) == sorted(flip.tried) and len(flip.tried) <= 5
    assert found[0].falls is not None and found[0].falls < 8  # the bare model


def test_the_ladder():
    assert GRID[0] == 0 and GRID[1] == 0.25 and GRID[-1] == 64 and 1 in GRID and 4 in GRID


def test_what_is_said_of_it():
    def said(stands, falls):
        return arena_words.smallest(Flip("tte", stands, falls, {}))

    assert said(2, 2.8284) == "Falls at 2.8/255, stands at 2/255."
    assert said(0, 0.25) == "Falls at 0.25/255."
    assert said(None, 0) == "Wrong without any attack."
    assert said(64, None) == "Stands up to 64/255, the largest tried."
    assert arena_words.smallest(None) == ""
