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
from demo_core.story.flips import GRID, Answer, Flip, flips
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
            assert flip.tried[eps].share == pytest.approx(says.softmax(-1)[0, run.right].item(), abs=1e-4)
        if flip.stands and flip.falls:
            assert flip.falls / flip.stands == pytest.approx(2**0.5)  # half an octave lies between
        assert list(flip.tried) == sorted(flip.tried) and len(flip.tried) <= 10
        assert set(found[0].tried) <= set(flip.tried)  # what turns the bare model may turn any row
    assert len(found[0].tried) <= 5
    assert found[0].falls is not None and found[0].falls < 8  # the bare model


def test_the_ladder():
    assert GRID[0] == 0 and GRID[1] == 0.25 and GRID[-1] == 64 and 1 in GRID and 4 in GRID


def test_a_row_that_falls_to_less_than_it_stands_against_is_found_out(clip, run, monkeypatch):
    """A gate lets small attacks pass: halving alone, which begins in the middle, would never meet them."""
    rows = only_rows(monkeypatch, "none", "default")
    gone = 0.5 / 255  # a small attack that the row does not see, and all larger ones that it undoes

    def defended(clip, run, row, pixels):
        moved = (pixels - run.pixels).abs().max().item()
        falls = moved > 0.9 * gone if row is rows["none"] else 0.9 * gone < moved < 1.1 * gone
        logits = torch.zeros(1, len(run.settings.labels))
        logits[0, (run.right + falls) % len(run.settings.labels)] = 5
        return (type("Answered", (), {"logits": logits, "probabilities": logits.softmax(-1)}),)

    monkeypatch.setattr("demo_core.story.flips.answered", defended)
    *_, (bare, row) = flips(clip, run)
    assert bare.falls == row.falls == 0.5 and not bare.again
    assert row.again == (GRID[8],) and row.stands == GRID[2]


def test_what_is_said_of_it():
    def said(*right, sizes=(0, 0.25, 0.5, 2, 2.8284, 4, 64)):
        answers = {eps: Answer(good, 0.5) for eps, good in zip(sizes, right, strict=False)}
        return arena_words.smallest(Flip("tte", answers))

    assert said(True, True, True, True, False, False) == "Stands at 2/255, falls at 2.8/255."
    assert said(True, False) == "Falls at 0.25/255, the smallest tried."
    assert said(False, False) == "Wrong without any attack."
    assert said(*[True] * 7) == "Stands at every eps tried, up to 64/255."
    once_more = "Stands at 0.25/255, falls at 0.5/255; stands again at 2 and 4/255."
    assert said(True, True, False, True, False, True) == once_more
    assert arena_words.smallest(None) == ""


def test_who_knew_the_defence_is_not_who_is_told_of(run):
    assert run.settings.adaptive and "does not know the defence" in arena_words.flipping(run)
    assert "does not know" not in arena_words.flipping(run.under(adaptive=False))
